import { HandlerError } from "@tandem/rpc";

/** What a transaction fails with that was ended before its COMMIT, because this signal was aborted. */
export function calledOff(
  signal: AbortSignal,
  more: { readonly step?: number; readonly cause?: unknown } = {},
): HandlerError {
  const draining = signal.reason instanceof HandlerError && signal.reason.reason === "DRAINING";
  return new HandlerError({
    reason: draining ? "DRAINING" : "CANCELLED_BY_CALLER",
    message: draining ? "This instance stopped before the transaction was through." : "The caller left.",
    outcome: "NOT_COMMITTED",
    ...more,
  });
}
