import type { Borrowed } from "./lease.ts";
import { kindOf, type PgType } from "./values/kind.ts";

/** The database's types by OID, as far as they were met. */
export interface Catalog {
  typeOf(oid: number): PgType;
  /** Whether all of these are known. */
  knows(oids: readonly number[]): boolean;
  /** Asks for the types anew where one of these isn't known: a migration may have made it. */
  learn(oids: readonly number[], borrowed: Borrowed): Promise<void>;
}

// A row has about a hundred; this is room for a million types.
const CATALOG_BYTES = 128 * 1024 * 1024;

const UNKNOWN: PgType = { name: "unknown", kind: "text" };

// An array type is one that another type names as its array; int2vector and its like only look so.
const selectTypes = `
  SELECT t.oid, t.typname, t.typbasetype, e.oid AS element, e.typdelim, t.typnamespace = 'pg_catalog'::regnamespace
  FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.typarray = t.oid`;

export function createCatalog(): Catalog {
  let types: ReadonlyMap<number, PgType> = new Map();
  return {
    typeOf: (oid) => types.get(oid) ?? UNKNOWN,
    knows: (oids) => oids.every((oid) => types.has(oid)),
    learn: async (oids, borrowed) => {
      if (oids.every((oid) => types.has(oid))) return;
      const statement = { text: selectTypes, values: [] };
      types = new Map([
        ...types,
        ...toTypes(await borrowed.runAll([statement], { maxBytes: CATALOG_BYTES })),
      ]);
    },
  };
}

function toTypes(rows: readonly (readonly (string | null)[])[]): ReadonlyMap<number, PgType> {
  const byOid = new Map(rows.map((row) => [Number(row[0]), row]));
  const resolve = (oid: number): PgType => {
    const [, name = "unknown", base, element, delimiter, builtIn] = byOid.get(oid) ?? [];
    // A domain's values are its base type's.
    if (base !== "0" && base !== null && base !== undefined) return resolve(Number(base));
    const typeName = name ?? "unknown";
    if (element === null || element === undefined) {
      // Anybody may call a type int8 in another schema.
      return { name: typeName, kind: builtIn === "t" ? kindOf(typeName) : "text" };
    }
    return { name: typeName, kind: "list", element: resolve(Number(element)), delimiter: delimiter ?? "," };
  };
  return new Map([...byOid.keys()].map((oid) => [oid, resolve(oid)]));
}
