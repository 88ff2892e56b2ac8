import type { HandlerError } from "@tandem/rpc";
import type { Database } from "../create-database.ts";
import { translateDatabaseError } from "../translate-database-error.ts";
import { checkedAggregate } from "./checked-aggregate.ts";
import type { MirrorItem } from "./outbox.ts";

/** What came of an item that was brought. */
export interface Applied {
  /** "stale" is none: the mirror has this version, or a later one, which is the one given. */
  readonly outcome: "created" | "updated" | "deleted" | "stale";
  readonly version: bigint;
}

/** What is brought of an aggregate. */
export type BroughtItem = Pick<MirrorItem, "id" | "version" | "state">;

/**
 * Brings a mirror to the versions that the other side has, and gives what came of each, in order. They are applied
 * together, and where one of them is refused each by itself: it holds up none of the others.
 */
export async function applyMirrored(
  database: Pick<Database, "run">,
  aggregate: string,
  items: readonly BroughtItem[],
): Promise<readonly (Applied | HandlerError)[]> {
  if (items.length === 0) return [];
  try {
    return await applyTogether(database, aggregate, items);
  } catch (error) {
    const failure = translateDatabaseError(error);
    // What has nothing to do with one of them would only be met again.
    if (items.length === 1 || failure.retryable) return items.map(() => failure);
    const results: (Applied | HandlerError)[] = [];
    for (const item of items) results.push(...(await applyMirrored(database, aggregate, [item])));
    return results;
  }
}

async function applyTogether(
  { run }: Pick<Database, "run">,
  aggregate: string,
  items: readonly BroughtItem[],
): Promise<readonly Applied[]> {
  // Their states are JSON already.
  const json = items.map(
    ({ id, version, state }) =>
      `{"id":${JSON.stringify(id)},"version":${version},"state":${state ?? "null"}}`,
  );
  const rows = await run({
    text: `
      SELECT applied.outcome, applied.version
      FROM jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS brought (item, place),
        mirror.apply_${checkedAggregate(aggregate)}(
          (item ->> 'id')::uuid, (item ->> 'version')::bigint, nullif(item -> 'state', 'null')
        ) AS applied
      ORDER BY place`,
    values: [`[${json.join(",")}]`],
    prepare: true,
  });
  // Each is held to be what became of the item in its place.
  if (rows.length !== items.length) {
    throw new TypeError(`${items.length} items were applied, and PostgreSQL gave ${rows.length} answers.`);
  }
  return rows as unknown as readonly Applied[];
}
