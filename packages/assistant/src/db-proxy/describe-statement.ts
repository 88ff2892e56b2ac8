import type { Catalog } from "./catalog.ts";
import type { Description } from "./description.ts";
import type { Borrowed } from "./lease.ts";
import type { PgType } from "./values/kind.ts";

/** What PostgreSQL says of a statement that it has parsed and not run. */
export interface Described {
  /** The types that it takes $1, $2, … for. */
  readonly params: readonly PgType[];
  readonly columns: readonly { readonly name: string; readonly type: PgType }[];
}

/** A description whose types the catalog knows. */
export function toDescribed({ paramTypes, fields }: Description, catalog: Catalog): Described {
  return {
    params: paramTypes.map((oid) => catalog.typeOf(oid)),
    columns: fields.map(({ name, dataTypeID }) => ({ name, type: catalog.typeOf(dataTypeID) })),
  };
}

/** Has the catalog know the types of a description. */
export async function learnTypes(
  { paramTypes, fields }: Description,
  { borrowed, catalog }: { readonly borrowed: Borrowed; readonly catalog: Catalog },
): Promise<void> {
  await catalog.learn([...paramTypes, ...fields.map(({ dataTypeID }) => dataTypeID)], borrowed);
}

/** Has PostgreSQL parse and describe a statement. */
export async function describeStatement(
  sql: string,
  on: { readonly borrowed: Borrowed; readonly catalog: Catalog },
): Promise<Described> {
  const statement = { text: sql, description: "unknown", once: true } as const;
  const { answers, failure } = await on.borrowed.flush([statement]);
  if (failure !== undefined) throw failure.error;
  const { description = { paramTypes: [], fields: [] } } = answers[0] ?? {};
  await learnTypes(description, on);
  return toDescribed(description, on.catalog);
}
