import { HandlerError } from "../errors/handler-error.ts";

const ENDINGS = {
  CANCELLED_BY_CALLER: "Nobody waits for the answer any more.",
  DRAINING: "This instance stopped before the call was through: whether it took effect is not known.",
} as const;

/** Why a call ends before its handler does. How far that came by then is not known here. */
export type Ending = keyof typeof ENDINGS;

/** What the signal of a call that ends is aborted with. */
export function endedBy(reason: Ending): HandlerError {
  return new HandlerError({ reason, message: ENDINGS[reason], outcome: "UNKNOWN" });
}
