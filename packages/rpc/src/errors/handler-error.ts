import type { status } from "@grpc/grpc-js";
import { type OutcomeName, type Reason, type ReasonTraits, reasonTraits } from "./reasons.ts";

/** What PostgreSQL said of the object that an error is about. */
export interface DatabaseFault {
  readonly sqlstate: string;
  readonly schema?: string;
  readonly table?: string;
  readonly column?: string;
  readonly constraint?: string;
}

/** The guard that a step did not meet. */
export interface UnmetGuard {
  readonly actualChanges: bigint;
  readonly minChanges?: bigint;
  readonly maxChanges?: bigint;
}

/** One field of the request that can't be accepted, as a path into the message: `steps[2].params[0]`. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

export interface HandlerErrorOptions {
  readonly reason: Reason;
  /** A sentence for the caller: what is wrong and what to do. Never a bind value or a secret. */
  readonly message: string;
  /** What follows from the reason where it isn't said: NOT_COMMITTED, but for reasons that can't know. */
  readonly outcome?: OutcomeName;
  /** The 0-based step that failed, where a single step did. */
  readonly step?: number;
  readonly database?: DatabaseFault;
  readonly guard?: UnmetGuard;
  readonly fields?: readonly FieldViolation[];
  /** When trying again makes sense; the reason's own delay where it isn't said. */
  readonly retryAfterMs?: number;
  /** For the log of the side that throws; it never crosses the wire. */
  readonly cause?: unknown;
}

/** A handler's decision as it came over the wire: a newer peer may know reasons that this build doesn't. */
export interface ReceivedHandlerError extends Omit<HandlerErrorOptions, "reason"> {
  readonly reason: string;
  readonly code: status;
  readonly retryable: boolean;
  readonly method?: string;
}

/**
 * The other side's handler decided. A handler throws it; a client catches the same class with the same
 * fields. What it says of the outcome can be relied upon; `retryable` means that the same request, with
 * the same request_id, may succeed later.
 */
export class HandlerError extends Error {
  override readonly name = "HandlerError";
  readonly code: status;
  readonly reason: Reason | (string & {});
  readonly outcome: OutcomeName;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly step: number | undefined;
  readonly database: DatabaseFault | undefined;
  readonly guard: UnmetGuard | undefined;
  readonly fields: readonly FieldViolation[];
  /** The method that answered, on the client's side: `tandem.assistant.v1.DbProxy/Transaction`. */
  readonly method: string | undefined;

  constructor(options: HandlerErrorOptions | ReceivedHandlerError) {
    super(options.message, "cause" in options ? { cause: options.cause } : undefined);
    const traits: ReasonTraits = "code" in options ? options : reasonTraits[options.reason];
    this.code = traits.code;
    this.retryable = traits.retryable;
    this.retryAfterMs = options.retryAfterMs ?? traits.retryAfterMs;
    this.reason = options.reason;
    this.outcome = options.outcome ?? traits.outcome ?? "NOT_COMMITTED";
    this.step = options.step;
    this.database = options.database;
    this.guard = options.guard;
    this.fields = options.fields ?? [];
    this.method = "method" in options ? options.method : undefined;
  }

  /**
   * The same failure with another word on what became of the request, for whoever knows more than who threw it.
   * Of a request that is NOT_COMMITTED for good no other copy can succeed: then it is not retryable either.
   */
  withOutcome(outcome: OutcomeName): HandlerError {
    const { code, reason, message, method, step, database, guard, fields, retryAfterMs } = this;
    const retryable = outcome === "UNKNOWN" && this.retryable;
    return new HandlerError({
      code,
      reason,
      message,
      outcome,
      retryable,
      fields,
      cause: this.cause,
      ...(method === undefined ? {} : { method }),
      ...(step === undefined ? {} : { step }),
      ...(database === undefined ? {} : { database }),
      ...(guard === undefined ? {} : { guard }),
      ...(retryable && retryAfterMs !== undefined ? { retryAfterMs } : {}),
    });
  }
}
