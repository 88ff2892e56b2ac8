import type { DescMessage } from "@bufbuild/protobuf";
import { HandlerError } from "../errors/handler-error.ts";

/**
 * Whether a message may be, or hold, a request that was sent before. By the contract's custom such a request has a
 * field `attempt`, which counts the copies that were sent before it.
 */
export function isResendable(message: DescMessage, seen = new Set<DescMessage>()): boolean {
  if (message.field["attempt"] !== undefined) return true;
  seen.add(message);
  return message.fields.some(
    (field) => field.message !== undefined && !seen.has(field.message) && isResendable(field.message, seen),
  );
}

/** Whether a request says that it was sent before. */
function isResend(request: object): boolean {
  return "attempt" in request && Number(request.attempt) > 0;
}

/** What is said of a request that no handler has seen: of copies that were sent before, nobody here knows anything. */
export async function refusal(decode: () => Promise<object>, error: unknown): Promise<unknown> {
  if (!(error instanceof HandlerError) || error.outcome !== "NOT_COMMITTED") return error;
  const request = await decode().catch(() => ({}));
  return isResend(request) ? error.withOutcome("UNKNOWN") : error;
}
