import { HandlerError } from "./handler-error.ts";
import type { Reason } from "./reasons.ts";

/** What is wrong with one field of a request, for `invalidField`. */
export interface FieldRefusal {
  /** INVALID_REQUEST where it isn't said. */
  readonly reason?: Reason;
  /** As a path into the message: `steps[2].params[0]`. */
  readonly field: string;
  /** The 0-based step that it belongs to, where it belongs to one. */
  readonly step?: number | undefined;
  /** The rest of a sentence that begins with the field, without its full stop. Never a bind value or a secret. */
  readonly why: string;
}

/** What a handler throws for a field of the request that it can't accept. */
export function invalidField({ reason = "INVALID_REQUEST", field, step, why }: FieldRefusal): HandlerError {
  return new HandlerError({
    reason,
    message: `${field} ${why}.`,
    ...(step === undefined ? {} : { step }),
    fields: [{ field, description: why }],
  });
}
