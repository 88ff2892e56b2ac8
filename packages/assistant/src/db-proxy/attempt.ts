import { calledOff, translateDatabaseError } from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import { RoundTooLargeError } from "./round.ts";

/** Runs a part of a transaction whose failure means that nothing of it is committed. */
export async function attempt<T>(
  signal: AbortSignal,
  step: number | undefined,
  part: () => Promise<T>,
): Promise<T> {
  try {
    return await part();
  } catch (error) {
    throw notCommitted(error, { signal, step });
  }
}

/** What a failure before COMMIT is to the caller. */
export function notCommitted(
  error: unknown,
  { signal, step }: { readonly signal: AbortSignal; readonly step: number | undefined },
): HandlerError {
  const where = step === undefined ? {} : { step };
  // Whoever ended the call, its connection is destroyed before COMMIT was sent.
  if (signal.aborted) return calledOff(signal, where);
  if (error instanceof RoundTooLargeError) {
    const message = "The result is larger than an answer may be: ask for less at a time.";
    return new HandlerError({ reason: "RESULT_TOO_LARGE", message, ...where });
  }
  return translateDatabaseError(error, where);
}
