import { type DeclaredStatement, defineStatement } from "@tandem/statements";

/** What is decided about in one database and mirrored in the other, as its migrations have it. */
export type Aggregate = "contact" | "invite";

/** What contacts and invites are compared and brought by: `tandem.mirror_table` has made the functions. */
function mirrorStatementsOf(aggregate: Aggregate) {
  return {
    /** Brings the assistant's copy to a version, or to its end where there is no state. What it has newer stays. */
    apply: defineStatement({
      name: `mirror.apply_${aggregate}`,
      params: { id: "uuid", version: "int8", state: "text | null" },
      sql: `SELECT outcome, version FROM mirror.apply_${aggregate}($1, $2, $3::text::jsonb)`,
      result: { outcome: "text", version: "int8" },
    }),
    /** Makes the assistant, where it decides, what the gateway still has. */
    recover: defineStatement({
      name: `mirror.recover_${aggregate}`,
      params: { id: "uuid", version: "int8", state: "text | null" },
      sql: `SELECT true AS recovered FROM tandem.recover_${aggregate}($1, $2, $3::text::jsonb)`,
      result: { recovered: "bool" },
    }),
    read: defineStatement({
      name: `mirror.read_${aggregate}`,
      params: { ids: "uuid[]" },
      sql: `SELECT id, version, state::text AS state, updated_at::text AS "updatedAt" FROM mirror.read_${aggregate}($1)`,
      result: { id: "uuid", version: "int8", state: "text | null", updatedAt: "text" },
    }),
    digests: defineStatement({
      name: `mirror.digest_${aggregate}`,
      params: { buckets: "int4", since: "timestamptz", before: "timestamptz", parts: "int4[] | null" },
      sql: `SELECT bucket, held, digest FROM mirror.digest_${aggregate}($1, $2, $3, $4)`,
      result: { bucket: "int4", held: "int8", digest: "bytea" },
    }),
    list: defineStatement({
      name: `mirror.list_${aggregate}`,
      params: {
        buckets: "int4",
        since: "timestamptz",
        before: "timestamptz",
        parts: "int4[] | null",
        after: "uuid | null",
        maxRows: "int4",
      },
      sql: `SELECT id, version, deleted, digest FROM mirror.list_${aggregate}($1, $2, $3, $4, $5, $6)`,
      result: { id: "uuid", version: "int8", deleted: "bool", digest: "bytea" },
    }),
  };
}

/** Of each aggregate what compares it, reads it and brings it. */
export const mirrorStatements = {
  contact: mirrorStatementsOf("contact"),
  invite: mirrorStatementsOf("invite"),
} as const;

const AUTHORITY = `side, authority, phase, epoch, since::text AS since, move`;
const authorityRow = {
  side: "text",
  authority: "text",
  phase: "text",
  epoch: "int8",
  since: "text",
  move: "uuid | null",
} as const;

/** Who decides, and the steps by which that moves; INVITES has the order. */
export const authorityStatements = {
  read: defineStatement({
    name: "authority.read",
    sql: `SELECT ${AUTHORITY} FROM tandem.read_authority()`,
    result: authorityRow,
  }),
  beginMove: defineStatement({
    name: "authority.begin_move",
    params: { epoch: "int8", move: "uuid" },
    sql: `SELECT ${AUTHORITY} FROM tandem.begin_move($1, $2)`,
    result: authorityRow,
  }),
  endMove: defineStatement({
    name: "authority.end_move",
    params: { epoch: "int8", move: "uuid", to: "text" },
    sql: `SELECT ${AUTHORITY} FROM tandem.end_move($1, $2, $3)`,
    result: authorityRow,
  }),
  callOffMove: defineStatement({
    name: "authority.call_off_move",
    params: { epoch: "int8", move: "uuid" },
    sql: `SELECT ${AUTHORITY} FROM tandem.call_off_move($1, $2)`,
    result: authorityRow,
  }),
  /** Which of these are on their way to the gateway. */
  pending: defineStatement({
    name: "authority.pending",
    params: { aggregate: "text", ids: "uuid[]" },
    sql: `SELECT id FROM tandem.pending($1, $2)`,
    result: { id: "uuid" },
  }),
  /** What the gateway has refused of an aggregate, a page of it. */
  parked: defineStatement({
    name: "authority.parked",
    params: { aggregate: "text", after: "uuid | null", maxRows: "int4" },
    sql: `SELECT id, version FROM tandem.parked($1, $2, $3)`,
    result: { id: "uuid", version: "int8" },
  }),
  /** The gateway has come to these versions, though it has refused them before. */
  release: defineStatement({
    name: "authority.release_parked",
    params: { aggregate: "text", ids: "uuid[]", versions: "int8[]" },
    sql: `SELECT true AS released FROM tandem.release_parked($1, $2, $3)`,
    result: { released: "bool" },
  }),
  backlog: defineStatement({
    name: "authority.backlog",
    sql: `SELECT pending, parked, oldest_seconds AS "oldestSeconds", clock_timestamp()::text AS now FROM tandem.backlog()`,
    result: { pending: "int8", parked: "int8", oldestSeconds: "float8", now: "text" },
  }),
} as const;

/** All of them, to be registered. */
export const allMirrorStatements: readonly DeclaredStatement[] = [
  ...Object.values(mirrorStatements).flatMap((statements) => Object.values(statements)),
  ...Object.values(authorityStatements),
];
