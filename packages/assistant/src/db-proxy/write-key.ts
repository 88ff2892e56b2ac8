import { HandlerError } from "@tandem/rpc";
import { createHash } from "node:crypto";
import { attempt } from "./attempt.ts";
import type { Borrowed, FlushStatement } from "./lease.ts";
import type { DbProxyLimits } from "./limits.ts";

// As many rows as the table has.
const SLOTS = 16_384;
// An UPDATE, not only a lock: to a transaction with a snapshot of its own, a row that was only locked looks as
// if nobody had been there.
const LOCK = "UPDATE tandem.write_keys SET uses = uses + 1 WHERE slot = $1::integer";

/**
 * Runs the steps of a transaction, which gets the statement that has to come before them: it locks the row of a
 * serialization_key until the transaction ends. Where another one had the key, a snapshot that was taken before it
 * came free is of no use: then all is begun anew, no step having run. Without a key ("") there is no such statement.
 */
export function inTurn<T>(
  run: Turn,
  key: string,
  steps: (first: readonly FlushStatement[]) => Promise<T>,
): Promise<T> {
  return key === "" ? steps([]) : locked(run, key, steps);
}

interface Turn {
  readonly borrowed: Borrowed;
  readonly signal: AbortSignal;
  readonly limits: DbProxyLimits;
}

async function locked<T>(
  { borrowed, signal, limits }: Turn,
  key: string,
  steps: (first: readonly FlushStatement[]) => Promise<T>,
): Promise<T> {
  const slot = createHash("sha256").update(key).digest().readUInt16BE(0) % SLOTS;
  const lock = { text: LOCK, execute: { values: [String(slot)] } };
  const until = Date.now() + limits.lockTimeoutMs;
  for (;;) {
    try {
      return await steps([lock]);
    } catch (error) {
      if (!isStaleSnapshot(error) || Date.now() >= until) throw error;
    }
    await attempt(signal, undefined, () => borrowed.runAll([{ text: "ROLLBACK", values: [] }]));
  }
}

function isStaleSnapshot(error: unknown): boolean {
  // A step's own failure names the step.
  return (
    error instanceof HandlerError && error.reason === "SERIALIZATION_FAILURE" && error.step === undefined
  );
}
