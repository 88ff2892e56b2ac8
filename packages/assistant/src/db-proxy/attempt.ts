import { calledOff, translateDatabaseError } from "@tandem/postgres";
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
    // Whoever ended the call, its connection is destroyed before COMMIT was sent.
    if (signal.aborted) throw calledOff(signal, where);
    if (error instanceof RoundTooLargeError) {
      const message = "The result is larger than an answer may be: ask for less at a time.";
      throw new HandlerError({ reason: "RESULT_TOO_LARGE", message, ...where });
    }
    throw translateDatabaseError(error, where);
  }
}
