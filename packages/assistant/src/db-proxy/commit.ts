import { receiptFailure, type TextStatement, translateDatabaseError } from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import { notCommitted } from "./attempt.ts";
import { type Borrowed, toFlush } from "./lease.ts";
import { readingToken } from "./write-token.ts";

/**
 * Commits, with the receipt where there is one, and gives the write token of what is committed then; "" where it
 * can't be had any more. Fails with a SettledError where the receipt of another copy stands already, else with a
 * HandlerError: NOT_COMMITTED where PostgreSQL said so, or where the COMMIT was not sent, UNKNOWN where its answer
 * was lost.
 */
export async function commit(
  borrowed: Borrowed,
  signal: AbortSignal,
  receipt: TextStatement | undefined,
): Promise<string> {
  // A caller that left, or a connection that was lost, before this point: nothing is committed. After it, what
  // is answered is PostgreSQL's word or that nobody knows.
  try {
    signal.throwIfAborted();
    borrowed.assertConnected();
  } catch (error) {
    throw notCommitted(error, { signal, step: undefined });
  }
  borrowed.letRun();
  // In one flush: where the receipt can't be inserted, PostgreSQL skips the COMMIT behind it.
  const token = readingToken(borrowed.session);
  const statements = [...(receipt === undefined ? [] : [receipt]), COMMIT, token.statement];
  const { answers, failure } = await borrowed.flush(statements.map(toFlush), { last: true });
  if (answers.at(-2)?.tag === "COMMIT") {
    // Whatever broke after that: it is committed.
    return failure === undefined ? token.toToken(answers.at(-1)?.rows ?? []) : "";
  }
  if (failure !== undefined) {
    const ofReceipt = receipt !== undefined && failure.at === 0;
    throw ofReceipt
      ? receiptFailure(failure.error)
      : translateDatabaseError(failure.error, { during: "commit" });
  }
  // PostgreSQL answers a COMMIT of a failed transaction with ROLLBACK, and calls it success.
  throw new HandlerError({ reason: "DATABASE_INTERNAL", message: "PostgreSQL rolled the transaction back." });
}

const COMMIT: TextStatement = { text: "COMMIT", values: [] };
