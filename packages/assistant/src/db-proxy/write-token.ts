import type { TextRows, TextStatement } from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import type { Borrowed } from "./lease.ts";
import type { Session } from "./link.ts";

/** What a position belongs to: those of another cluster, or of another timeline, mean nothing here. */
export interface History {
  readonly cluster: string;
  readonly timeline: number;
}

/** A place in the history of one database cluster: everything committed before it is visible after it. */
interface Position extends History {
  readonly lsn: bigint;
}

const POLL_MS = 20;
const FORM = /^1\.(\d{1,20})\.(\d{1,10})\.(\d{1,20})$/;

// A primary knows its timeline from the name of its WAL; a standby learns of a new one with a restart point.
const positionText = `
  SELECT (SELECT system_identifier FROM pg_control_system()),
         CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
              ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END,
         (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0')::int8,
         pg_is_in_recovery()`;

const selectPosition: TextStatement = { text: positionText, values: [] };
// What is left to ask of a server whose history is known: to read that takes PostgreSQL longer than a small write.
const selectLsn: TextStatement = { text: "SELECT pg_current_wal_lsn() - '0/0'", values: [] };

/** The statement that reads a write token, and what makes one of what it gave: of all that was committed by then. */
export interface TokenReading {
  readonly statement: TextStatement;
  readonly toToken: (rows: TextRows) => string;
}

export function readingToken(session: Session): TokenReading {
  const { history } = session;
  if (history !== undefined) {
    const toToken = (rows: TextRows): string => tokenOf({ ...history, lsn: BigInt(rows[0]?.[0] ?? 0) });
    return { statement: selectLsn, toToken };
  }
  const toToken = (rows: TextRows): string => {
    const { position, standby } = toPosition(rows);
    const { cluster, timeline } = position;
    if (!standby) session.history = { cluster, timeline };
    return tokenOf(position);
  };
  return { statement: selectPosition, toToken };
}

function tokenOf({ cluster, timeline, lsn }: Position): string {
  return `1.${cluster}.${timeline}.${lsn}`;
}

/**
 * Resolves when what the token stands for can be read here. A server that takes writes has it already; a
 * standby is waited for until the deadline (NOT_READY). Fails with INVALID_REQUEST for a token of another
 * database's.
 */
export async function waitForToken(
  borrowed: Borrowed,
  token: string,
  wait: { readonly untilMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const wanted = parseToken(token);
  for (;;) {
    const { position, standby } = await readPosition(borrowed);
    // A failover has begun another history since: nobody can say whether that write is part of it.
    if (wanted.cluster !== position.cluster || wanted.timeline < position.timeline) throw foreignToken();
    // The token of a later history than that of a server which still believes that it takes the writes.
    if (!standby && wanted.timeline > position.timeline) throw foreignToken();
    if (wanted.lsn <= position.lsn) return;
    // Ahead of the server that takes writes: of a history that a failover or a restore has ended.
    if (!standby) throw foreignToken();
    if (Date.now() + POLL_MS >= wait.untilMs) {
      const message = "This replica has not seen that write yet: try again, or read from the primary.";
      throw new HandlerError({ reason: "NOT_READY", message });
    }
    await delay(POLL_MS, undefined, { signal: wait.signal });
  }
}

/** Fails with NOT_PRIMARY on a server that takes no writes. */
export async function requirePrimary(borrowed: Borrowed): Promise<void> {
  const { standby } = await readPosition(borrowed);
  if (!standby) return;
  throw new HandlerError({
    reason: "NOT_PRIMARY",
    message: "This instance reads from a standby: ask the primary.",
  });
}

async function readPosition(borrowed: Borrowed): Promise<{ position: Position; standby: boolean }> {
  return toPosition(await borrowed.runAll([selectPosition]));
}

function toPosition(rows: TextRows): { position: Position; standby: boolean } {
  const [cluster, timeline, lsn, standby] = rows[0] ?? [];
  return {
    position: { cluster: cluster ?? "", timeline: Number(timeline), lsn: BigInt(lsn ?? 0) },
    standby: standby === "t",
  };
}

function parseToken(token: string): Position {
  const [, cluster, timeline, lsn] = FORM.exec(token) ?? [];
  if (cluster === undefined || timeline === undefined || lsn === undefined) throw foreignToken();
  return { cluster, timeline: Number(timeline), lsn: BigInt(lsn) };
}

function foreignToken(): HandlerError {
  const description =
    "is not a token of this database's present history: leave it out, and read from the primary";
  return new HandlerError({
    reason: "INVALID_REQUEST",
    message: `at_least_as_fresh ${description}.`,
    fields: [{ field: "at_least_as_fresh", description }],
  });
}
