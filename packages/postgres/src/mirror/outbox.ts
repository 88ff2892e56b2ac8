import type { Database } from "../create-database.ts";
import { createSql, type Sql } from "../sql.ts";
import { checkedAggregate } from "./checked-aggregate.ts";

/** An aggregate that the other side doesn't have as it is, taken by one relay for a while. */
export interface OutboxEntry {
  readonly id: string;
  /** The newest when it was taken. */
  readonly version: bigint;
  /** How often it has been taken since it last changed, this time included. */
  readonly attempts: number;
  /** Why the other side refused it the last time. */
  readonly refusal: string | undefined;
}

/** What is to be brought to the other side. */
export interface MirrorItem {
  readonly id: string;
  readonly version: bigint;
  /** The row by its columns, as JSON, with its children; undefined where it was deleted. */
  readonly state: string | undefined;
  /** In PostgreSQL's form. */
  readonly updatedAt: string;
}

export interface Backlog {
  readonly pending: number;
  readonly parked: number;
  /** Of what is not parked; 0 where there is nothing. */
  readonly oldestAgeMs: number;
}

/**
 * What the other side lacks, of all aggregates of a database. Nothing here waits for a writer: what one holds is changing,
 * and stays as it is.
 */
export interface Outbox {
  /** Takes what is due, the longest waiting first. Who dies with it leaves it to others when `leaseMs` is over. */
  take(
    aggregate: string,
    options: { readonly limit: number; readonly leaseMs: number },
  ): Promise<OutboxEntry[]>;
  /** What these ids are at the moment; nothing of one that was deleted so long ago that it is forgotten. */
  read(aggregate: string, ids: readonly string[]): Promise<MirrorItem[]>;
  /** The other side has these versions. What has changed again stays; what awaits one of them may be taken. */
  delivered(aggregate: string, brought: readonly Brought[]): Promise<void>;
  /** To be tried again so much later, unless they have changed meanwhile: then at once. */
  postpone(
    aggregate: string,
    entries: readonly Pick<OutboxEntry, "id" | "version">[],
    byMs: number,
  ): Promise<void>;
  /** The other side refuses it: to be tried again so much later, or where what it awaits has been brought there. */
  park(
    aggregate: string,
    entry: Pick<OutboxEntry, "id" | "version">,
    parking: { readonly refusal: string; readonly awaits: string | undefined; readonly forMs: number },
  ): Promise<void>;
  /** Whether it is on its way: what is parked is not. */
  has(aggregate: string, id: string): Promise<boolean>;
  backlog(): Promise<Backlog>;
}

export interface Brought {
  readonly id: string;
  readonly version: bigint;
}

/** Of a database that has been migrated for it, by a role that may read and write the outbox. */
export function createOutbox({ run }: Pick<Database, "run">): Outbox {
  // Planned anew each time: what was planned while the outbox was empty takes seconds for a batch of a backlog.
  const sql = createSql((statement) => run({ ...statement, prepare: false }));
  return {
    take: async (aggregate, { limit, leaseMs }) => {
      const rows = await sql<{ id: string; version: string; attempts: number; refusal: string | null }>`
        UPDATE tandem.outbox AS o
        SET due_at = clock_timestamp() + make_interval(secs => ${leaseMs / 1_000}), attempts = o.attempts + 1
        FROM (
          SELECT aggregate, id FROM tandem.outbox
          WHERE aggregate = ${aggregate} AND due_at <= clock_timestamp()
          ORDER BY due_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
        ) AS due
        WHERE o.aggregate = due.aggregate AND o.id = due.id
        RETURNING o.id::text, o.version::text, o.attempts, o.refusal`;
      return rows.map(({ id, version, attempts, refusal }) => {
        return { id, version: BigInt(version), attempts, refusal: refusal ?? undefined };
      });
    },
    read: async (aggregate, ids) => {
      const rows = await run({
        text: `SELECT id::text, version::text, state::text, updated_at::text FROM mirror.read_${checkedAggregate(aggregate)}($1::uuid[])`,
        values: [`{${ids.join(",")}}`],
        rowsAsArrays: true,
      });
      // Four texts, as asked for.
      return (rows as unknown as readonly (readonly [string, string, string | null, string])[]).map(
        ([id, version, state, updatedAt]) => ({
          id,
          version: BigInt(version),
          state: state ?? undefined,
          updatedAt,
        }),
      );
    },
    delivered: (aggregate, brought) => strikeOff(sql, aggregate, brought),
    postpone: async (aggregate, entries, byMs) => {
      await sql`
        UPDATE tandem.outbox o SET due_at = clock_timestamp() + make_interval(secs => ${byMs / 1_000})
        FROM (
          SELECT id FROM tandem.outbox held
            JOIN unnest(${idsOf(entries)}::uuid[], ${versionsOf(entries)}::int8[]) AS taken (id, version) USING (id, version)
          WHERE held.aggregate = ${aggregate} FOR UPDATE OF held SKIP LOCKED
        ) AS taken
        WHERE o.aggregate = ${aggregate} AND o.id = taken.id`;
    },
    park: async (aggregate, { id, version }, { refusal, awaits = null, forMs }) => {
      await sql`
        UPDATE tandem.outbox o
        SET refusal = ${refusal}, awaits = ${awaits}, due_at = clock_timestamp() + make_interval(secs => ${forMs / 1_000})
        FROM (
          SELECT id FROM tandem.outbox
          WHERE aggregate = ${aggregate} AND id = ${id} AND version = ${String(version)} FOR UPDATE SKIP LOCKED
        ) AS taken
        WHERE o.aggregate = ${aggregate} AND o.id = taken.id`;
    },
    has: async (aggregate, id) => {
      const rows = await sql`
        SELECT FROM tandem.outbox WHERE aggregate = ${aggregate} AND id = ${id} AND refusal IS NULL`;
      return rows.length > 0;
    },
    backlog: async () => {
      const [row] = await sql<{ pending: bigint; parked: bigint; oldest: number }>`
        SELECT pending, parked, oldest_seconds AS oldest FROM tandem.backlog()`;
      const { pending = 0n, parked = 0n, oldest = 0 } = row ?? {};
      return { pending: Number(pending), parked: Number(parked), oldestAgeMs: oldest * 1_000 };
    },
  };
}

async function strikeOff(sql: Sql, aggregate: string, brought: readonly Brought[]): Promise<void> {
  await sql`
    UPDATE tandem.outbox o SET refusal = NULL, awaits = NULL, attempts = 0, due_at = clock_timestamp()
    FROM (
      SELECT aggregate, id FROM tandem.outbox WHERE awaits = ANY (${idsOf(brought)}::uuid[]) FOR UPDATE SKIP LOCKED
    ) AS waiting
    WHERE o.aggregate = waiting.aggregate AND o.id = waiting.id`;
  // What waits still, since a writer holds it who may roll back, is released when this is brought once more.
  await sql`
    DELETE FROM tandem.outbox o USING (
      SELECT aggregate, id FROM tandem.outbox held
        JOIN unnest(${idsOf(brought)}::uuid[], ${versionsOf(brought)}::int8[]) AS sent (id, version) USING (id)
      WHERE held.aggregate = ${aggregate} AND held.version <= sent.version
        AND NOT EXISTS (SELECT FROM tandem.outbox waiting WHERE waiting.awaits = held.id)
      FOR UPDATE OF held SKIP LOCKED
    ) AS brought
    WHERE o.aggregate = brought.aggregate AND o.id = brought.id`;
}

const idsOf = (entries: readonly { readonly id: string }[]): string[] => entries.map(({ id }) => id);

const versionsOf = (entries: readonly { readonly version: bigint }[]): bigint[] =>
  entries.map(({ version }) => version);
