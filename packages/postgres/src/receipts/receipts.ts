import { HandlerError } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import { isStalePlan } from "../foreign-error.ts";
import { postgresLimits } from "../limits.ts";
import {
  insertRefused,
  type Receipt,
  receiptFailure,
  requestInProgress,
  type RequestKey,
  selectReceipt,
  SettledError,
  type TextRows,
  type TextStatement,
  toReceipt,
} from "./receipt.ts";

/** Until when, and for whom, it is tried. */
export interface Patience {
  readonly deadline: Date | undefined;
  readonly signal: AbortSignal;
}

/** The receipts of one database, read and settled outside of the transactions that they are about. */
export interface Receipts {
  /** What is stored; tried once. It proves nothing while a copy may still be running. */
  look(key: RequestKey, patience: Patience): Promise<Receipt | undefined>;
  /** The same, tried again until there is no time left. Fails with an outcome UNKNOWN. */
  find(key: RequestKey, patience: Patience): Promise<Receipt | undefined>;
  /**
   * Settles the request: waits for a copy in flight and then says what that one left, or sees to it that no
   * copy can ever commit, and says `refused`. It is tried again until there is no time left. Fails, where
   * nothing is settled, with REQUEST_IN_PROGRESS or with what kept it from the database, outcome UNKNOWN.
   */
  settle(key: RequestKey, patience: Patience): Promise<Receipt>;
}

export interface ReceiptsOptions {
  /** For how long it is tried to reach the database, or the end of a copy in flight. */
  readonly timeoutMs: number;
  readonly run: (statement: TextStatement, patience: Patience) => Promise<TextRows>;
}

/**
 * `run` runs one statement that commits by itself, on a connection that has nothing to do with the request's,
 * and rejects with the driver's error.
 */
export function createReceipts({ run, timeoutMs }: ReceiptsOptions): Receipts {
  const look: Receipts["look"] = async (key, patience) => toReceipt(await run(selectReceipt(key), patience));
  return {
    look,
    find: (key, patience) => insist({ ...patience, timeoutMs }, () => look(key, patience)),
    settle: (key, patience) =>
      insist({ ...patience, timeoutMs }, async () => {
        try {
          await run(insertRefused(key), patience);
          return { state: "refused" };
        } catch (error) {
          if (!(receiptFailure(error) instanceof SettledError)) throw error;
        }
        // Whoever stood in the way has committed: what it left can be read now.
        const receipt = await look(key, patience);
        if (receipt === undefined) throw new TypeError("A receipt stood in the way and is not there.");
        return receipt;
      }),
  };
}

// To look, and to fence, does no harm when it is done twice: a lost connection or a server that starts again is
// no reason to leave a caller without an answer.
async function insist<T>(
  patience: Patience & { readonly timeoutMs: number },
  work: () => Promise<T>,
): Promise<T> {
  const { settleIntervalMs } = postgresLimits;
  const until = Math.min(Date.now() + patience.timeoutMs, patience.deadline?.getTime() ?? Infinity);
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const failure = toUnsettled(error);
      const late = patience.signal.aborted || Date.now() + settleIntervalMs >= until;
      // A statement that a migration has outdated is prepared anew the next time.
      if (late || !(failure.retryable || isStalePlan(error))) throw failure;
    }
    await delay(settleIntervalMs, undefined, { signal: patience.signal }).catch(() => undefined);
  }
}

function toUnsettled(error: unknown): HandlerError {
  const failure = receiptFailure(error, "transaction");
  return failure instanceof HandlerError ? failure.withOutcome("UNKNOWN") : requestInProgress(error);
}
