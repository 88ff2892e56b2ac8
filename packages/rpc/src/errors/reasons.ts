import { status } from "@grpc/grpc-js";
import type { ErrorReason } from "@tandem/contract/tandem/errors/v1/errors";

/** A reason of the contract's `ErrorReason`, without its prefix. */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

/**
 * Whether the request's effects are in the database. NOT_COMMITTED is said of the request_id: no copy
 * of it has committed or ever will.
 */
export type OutcomeName = "NOT_COMMITTED" | "COMMITTED" | "UNKNOWN";

/** What follows from a reason alone. */
export interface ReasonTraits {
  readonly code: status;
  /** Whether the same request, with the same request_id, may succeed later. */
  readonly retryable: boolean;
  /** What a handler that gives this reason, and says no more, knows of its effects: NOT_COMMITTED if unset. */
  readonly outcome?: OutcomeName;
  /** The RetryInfo that goes along where the handler names no other. */
  readonly retryAfterMs?: number;
}

const invalid = { code: status.INVALID_ARGUMENT, retryable: false };
const precondition = { code: status.FAILED_PRECONDITION, retryable: false };
const notFound = { code: status.NOT_FOUND, retryable: false };
const denied = { code: status.PERMISSION_DENIED, retryable: false };
const contention = { code: status.ABORTED, retryable: true, retryAfterMs: 50 };
const unavailable = { code: status.UNAVAILABLE, retryable: true, retryAfterMs: 250 };

/**
 * The table that turns a reason into a gRPC status. A reason has one code, everywhere; clients in
 * other languages branch on either.
 */
export const reasonTraits: Readonly<Record<Reason, ReasonTraits>> = {
  INVALID_REQUEST: invalid,
  EMPTY_TRANSACTION: invalid,
  REQUEST_TOO_LARGE: invalid,
  // Something else was committed under the id.
  REQUEST_ID_REUSED: { ...invalid, outcome: "COMMITTED" },
  REQUEST_ID_EXPIRED: invalid,
  SQL_INVALID: invalid,
  DATA_EXCEPTION: invalid,
  NOT_NULL_VIOLATION: invalid,
  INVALID_ATTACHMENTS: invalid,

  UNIQUE_VIOLATION: { code: status.ALREADY_EXISTS, retryable: false },
  GUARD_UNMET: precondition,
  FOREIGN_KEY_VIOLATION: precondition,
  CHECK_VIOLATION: precondition,
  EXCLUSION_VIOLATION: precondition,
  SCHEMA_MISMATCH: precondition,
  UNKNOWN_STATEMENT: precondition,
  NOT_PRIMARY: precondition,
  RESULT_TOO_LARGE: precondition,
  RAISED: precondition,
  UNRESOLVED_REF: precondition,
  INVITE_EXPIRED: precondition,
  INVITE_REVOKED: precondition,
  INVITE_EXHAUSTED: precondition,
  INVITE_CHANNEL_MISMATCH: precondition,
  STALE_VERSION: precondition,

  INVITE_NOT_FOUND: notFound,
  INVITE_INVALID: notFound,
  CONTACT_NOT_FOUND: notFound,
  AGENT_NOT_FOUND: notFound,
  CHANNEL_NOT_FOUND: notFound,
  MESSAGE_NOT_FOUND: notFound,
  CONVERSATION_NOT_FOUND: notFound,

  UNAUTHENTICATED: { code: status.UNAUTHENTICATED, retryable: false },
  METHOD_NOT_ALLOWED: denied,
  STATEMENT_NOT_ALLOWED: denied,
  INSUFFICIENT_PRIVILEGE: denied,
  NOT_A_MEMBER: denied,

  SERIALIZATION_FAILURE: contention,
  DEADLOCK: contention,
  LOCK_TIMEOUT: contention,
  REQUEST_IN_PROGRESS: { ...contention, outcome: "UNKNOWN" },
  REQUEST_REFUSED: { code: status.ABORTED, retryable: false },

  OVERLOADED: { code: status.RESOURCE_EXHAUSTED, retryable: true, retryAfterMs: 100 },
  TOO_MANY_ATTEMPTS: { code: status.RESOURCE_EXHAUSTED, retryable: false },
  DATABASE_RESOURCES: { code: status.RESOURCE_EXHAUSTED, retryable: false },

  DRAINING: unavailable,
  DATABASE_UNAVAILABLE: unavailable,
  NOT_READY: unavailable,
  NOT_AUTHORITATIVE: unavailable,

  STATEMENT_TIMEOUT: { code: status.DEADLINE_EXCEEDED, retryable: false },
  TRANSACTION_TIMEOUT: { code: status.DEADLINE_EXCEEDED, retryable: false },
  CANCELLED_BY_CALLER: { code: status.CANCELLED, retryable: false, outcome: "UNKNOWN" },

  COMMIT_OUTCOME_UNKNOWN: { code: status.UNKNOWN, retryable: true, outcome: "UNKNOWN" },
  DATABASE_INTERNAL: { code: status.INTERNAL, retryable: false },
  DATA_CORRUPTED: { code: status.DATA_LOSS, retryable: false },
  NOT_SUPPORTED: { code: status.UNIMPLEMENTED, retryable: false },
  HANDLER_FAILED: { code: status.INTERNAL, retryable: false, outcome: "UNKNOWN" },
};
