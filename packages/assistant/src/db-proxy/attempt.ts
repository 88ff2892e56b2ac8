import { translateDatabaseError } from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import { RoundTooLargeError } from "./round.ts";

/** Runs a part of a transaction whose failure means that nothing of it is committed. */
export async function attempt<T>(
  signal: AbortSignal,
  step: number | undefined,
  part: () => Promise<T>,
): Promise<T> {
  const where = step === undefined ? {} : { step };
  try {
    return await part();
  } catch (error) {
    if (signal.aborted) throw abandoned(signal, where);
    if (error instanceof RoundTooLargeError) {
      const message = "The result is larger than an answer may be: ask for less at a time.";
      throw new HandlerError({ reason: "RESULT_TOO_LARGE", message, ...where });
    }
    throw translateDatabaseError(error, where);
  }
}

// Whoever ended the call, its connection is destroyed before COMMIT was sent.
function abandoned(signal: AbortSignal, where: { readonly step?: number }): HandlerError {
  const draining = signal.reason instanceof HandlerError && signal.reason.reason === "DRAINING";
  return new HandlerError({
    reason: draining ? "DRAINING" : "CANCELLED_BY_CALLER",
    message: draining ? "This instance stopped before the transaction was through." : "The caller left.",
    outcome: "NOT_COMMITTED",
    ...where,
  });
}
