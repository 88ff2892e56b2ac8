import { HandlerError } from "@tandem/rpc";
import type { Database } from "../create-database.ts";
import { applyMirrored, type BroughtItem } from "./apply-mirrored.ts";
import { type Authority, readAuthority } from "./authority.ts";
import { translateDatabaseError } from "../translate-database-error.ts";
import { translatedSql } from "../translated-sql.ts";
import { checkedAggregate } from "./checked-aggregate.ts";
import { type Backlog, type Brought, createOutbox, type MirrorItem } from "./outbox.ts";

/** What the rows of a part of all ids come to on one side. */
export interface BucketDigest {
  readonly bucket: number;
  readonly held: number;
  readonly digest: Uint8Array;
}

/** A row, or what is left of one that was deleted, for the comparison with the other side. */
export interface RowVersion {
  readonly id: string;
  readonly version: bigint;
  readonly deleted: boolean;
  readonly digest: Uint8Array;
  /** In PostgreSQL's form, where it was asked for. */
  readonly updatedAt?: string;
}

/** The rows that changed within a time, in PostgreSQL's form, in so many parts by their ids. */
export interface Within {
  readonly buckets: number;
  readonly since: string;
  readonly before: string;
}

/** Of these the rows of some parts, or of all. */
export interface PartsWithin extends Within {
  readonly parts?: readonly number[];
}

export interface RowSelection extends PartsWithin {
  /** Ids behind this one, and no more of them than so many. */
  readonly after?: string;
  readonly maxRows?: number;
}

/**
 * One of two databases that hold the same rows, for whoever compares them and moves the authority from one to the other.
 * Every function can be repeated: one that was done already does nothing.
 */
export interface MirrorSide {
  readonly name: string;
  authority(): Promise<Authority>;
  /** Its writers are told to wait; those that are under way have come to their end. LOCK_TIMEOUT: they took too long. */
  beginMove(epoch: bigint, move: string): Promise<Authority>;
  /** `to` decides from now on, unless the move was called off. */
  endMove(epoch: bigint, move: string, to: string): Promise<Authority>;
  /** All is as it was, unless the move came to its end. */
  callOffMove(epoch: bigint, move: string): Promise<Authority>;
  backlog(): Promise<Backlog>;
  /** Which of these are on their way to its mirror. */
  pending(aggregate: string, ids: readonly string[]): Promise<ReadonlySet<string>>;
  /** What its mirror has refused, in the order of the ids: those behind one of them, and so many at most. */
  parked(
    aggregate: string,
    page: { readonly after: string | undefined; readonly maxRows: number },
  ): Promise<readonly Brought[]>;
  /** Its mirror has these versions, though it has refused them before: they are parked no more. */
  release(aggregate: string, brought: readonly Brought[]): Promise<void>;
  /** Its clock, in PostgreSQL's form. */
  now(): Promise<string>;
  digests(aggregate: string, within: PartsWithin): Promise<readonly BucketDigest[]>;
  list(aggregate: string, selection: RowSelection): Promise<readonly RowVersion[]>;
  read(aggregate: string, ids: readonly string[]): Promise<readonly MirrorItem[]>;
  /** Brings the mirror to a version of the other side's. */
  apply(aggregate: string, item: BroughtItem): Promise<void>;
  /** Makes the side that decides what its mirror has, above the version that is given; nothing where it has a later one. */
  recover(aggregate: string, item: BroughtItem): Promise<void>;
}

/** The side whose database this is. Its functions fail with HandlerErrors. */
export function createDatabaseSide(name: string, given: Pick<Database, "sql" | "run">): MirrorSide {
  const database = translating(given);
  const { sql, run } = database;
  const outbox = createOutbox(database);
  const call = async (text: string, values: readonly unknown[]) => run({ text, values, prepare: true });
  const asAuthority = async (text: string, values: readonly unknown[]): Promise<Authority> => {
    const [row] = await call(`SELECT side, authority, phase, epoch, since::text, move FROM ${text}`, values);
    // A function of tandem_0001_mirror.sql gives one row of tandem.authority.
    return row as unknown as Authority;
  };
  return {
    name,
    authority: () => readAuthority(database),
    beginMove: (epoch, move) => asAuthority("tandem.begin_move($1, $2)", [epoch, move]),
    endMove: (epoch, move, to) => asAuthority("tandem.end_move($1, $2, $3)", [epoch, move, to]),
    callOffMove: (epoch, move) => asAuthority("tandem.call_off_move($1, $2)", [epoch, move]),
    backlog: () => outbox.backlog(),
    pending: async (aggregate, ids) => {
      const rows = await call("SELECT id::text FROM tandem.pending($1, $2)", [aggregate, toList(ids)]);
      return new Set(rows.map(({ id }) => String(id)));
    },
    parked: async (aggregate, { after, maxRows }) => {
      const text = "SELECT id::text, version FROM tandem.parked($1, $2, $3)";
      return (await call(text, [aggregate, after ?? null, maxRows])) as unknown as readonly Brought[];
    },
    release: async (aggregate, brought) => {
      const [ids, versions] = [brought.map(({ id }) => id), brought.map(({ version }) => version)];
      await call("SELECT tandem.release_parked($1, $2, $3)", [aggregate, toList(ids), toList(versions)]);
    },
    now: async () => {
      const [row] = await sql<{ now: string }>`SELECT clock_timestamp()::text AS now`;
      return row?.now ?? "";
    },
    digests: async (aggregate, { buckets, since, before, parts }) =>
      (
        await call(
          `SELECT bucket, held, digest FROM mirror.digest_${checkedAggregate(aggregate)}($1, $2, $3, $4)`,
          [buckets, since, before, toList(parts)],
        )
      ).map(({ bucket, held, digest }) => ({
        bucket: Number(bucket),
        held: Number(held),
        digest: digest as Uint8Array,
      })),
    list: async (aggregate, { buckets, since, before, parts, after, maxRows }) => {
      const text = `
        SELECT id::text, version, deleted, digest, updated_at::text AS "updatedAt"
        FROM mirror.list_${checkedAggregate(aggregate)}($1, $2, $3, $4, $5, $6)`;
      const values = [buckets, since, before, toList(parts), after ?? null, maxRows ?? null];
      return (await call(text, values)) as unknown as readonly RowVersion[];
    },
    read: (aggregate, ids) => outbox.read(aggregate, ids),
    apply: async (aggregate, item) => {
      const [applied] = await applyMirrored(database, aggregate, [item]);
      if (applied instanceof HandlerError) throw applied;
    },
    recover: async (aggregate, { id, version, state }) => {
      await call(`SELECT tandem.recover_${checkedAggregate(aggregate)}($1, $2, $3::text::jsonb)`, [
        id,
        version,
        state ?? null,
      ]);
    },
  };
}

/** As PostgreSQL writes a list. */
function toList(values: readonly (string | number | bigint)[] | undefined): string | null {
  return values === undefined ? null : `{${values.join(",")}}`;
}

function translating(given: Pick<Database, "sql" | "run">): Pick<Database, "sql" | "run"> {
  return {
    sql: translatedSql(given),
    run: (statement) =>
      given.run(statement).catch((error: unknown) => {
        throw translateDatabaseError(error);
      }),
  };
}
