import type { Catalog } from "./catalog.ts";
import type { Borrowed } from "./lease.ts";
import type { RoundResult } from "./round.ts";
import type { PgType } from "./values/kind.ts";

/** What PostgreSQL says of a statement that it has parsed and not run. */
export interface Described {
  /** The types that it takes $1, $2, … for. */
  readonly params: readonly PgType[];
  readonly columns: readonly { readonly name: string; readonly type: PgType }[];
}

/** Has PostgreSQL parse a statement, which then is the connection's unnamed one, and describe it. */
export async function describeStatement(
  sql: string,
  { borrowed, catalog }: { readonly borrowed: Borrowed; readonly catalog: Catalog },
): Promise<Described> {
  const ask = (): Promise<RoundResult> =>
    borrowed.round((connection) => {
      connection.parse({ name: "", text: sql, types: [] }, true);
      connection.describe({ type: "S", name: "" }, true);
    });
  let { paramTypes, fields } = await ask();
  const oids = [...paramTypes, ...fields.map((field) => field.dataTypeID)];
  if (await catalog.learn(oids, borrowed)) ({ paramTypes, fields } = await ask());
  return {
    params: paramTypes.map((oid) => catalog.typeOf(oid)),
    columns: fields.map(({ name, dataTypeID }) => ({ name, type: catalog.typeOf(dataTypeID) })),
  };
}
