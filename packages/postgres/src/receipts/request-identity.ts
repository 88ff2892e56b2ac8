import { HandlerError, type Reason } from "@tandem/rpc";
import { postgresLimits } from "../limits.ts";

/** Which request it is, so that it can be told from another and known again. */
export interface RequestIdentity {
  /** The same id of another caller is another request. */
  readonly caller: string;
  readonly requestId: string;
  /** How many copies may have been sent before this one. */
  readonly attempt: number;
  /** Of what the request asks for. */
  readonly fingerprint: Uint8Array;
  readonly requestedAt: Date;
  readonly sourceInstanceId: string;
}

/** The identity as it came over the wire. */
export interface GivenIdentity extends Omit<RequestIdentity, "requestedAt"> {
  readonly requestedAt: Date | undefined;
}

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const MAX_NAME_LENGTH = 256;

/**
 * Checks an identity. Fails with a HandlerError that names the field; with REQUEST_ID_EXPIRED where receipts of
 * that time are gone, so that nobody knows any more whether it was committed.
 */
export function parseRequestIdentity(given: GivenIdentity): RequestIdentity {
  const requestId = parseRequestId(given.requestId);
  const { attempt, requestedAt, sourceInstanceId } = given;
  if (attempt < 0) throw invalid("attempt", "must not be negative");
  if (sourceInstanceId.length > MAX_NAME_LENGTH) {
    throw invalid("meta.source_instance_id", `is longer than ${MAX_NAME_LENGTH} characters`);
  }
  if (requestedAt === undefined) {
    throw invalid(
      "meta.requested_at",
      "is required with a request_id: the time when the write was first wanted",
    );
  }
  const latest = Date.now() + postgresLimits.maxClockAheadMs;
  if (requestedAt.getTime() > latest) {
    throw invalid("meta.requested_at", "is more than a minute ahead of this server's clock");
  }
  if (timeOfRequestId(requestId) > latest) {
    throw invalid("request_id", "was made more than a minute ahead of this server's clock");
  }
  if (isExpired(requestId) || requestedAt.getTime() < Date.now() - postgresLimits.receiptRetentionMs) {
    const why =
      "is older than receipts are kept: it is not run, and whether it was run before is not known any more";
    // Of a first send it is known: there was none before it.
    throw invalid("request_id", why, { reason: "REQUEST_ID_EXPIRED", sentBefore: attempt > 0 });
  }
  return { ...given, requestId, requestedAt };
}

/** The id in its one form. Fails with INVALID_REQUEST where it isn't a UUIDv7. */
export function parseRequestId(given: string): string {
  const requestId = given.toLowerCase();
  if (UUID_V7.test(requestId)) return requestId;
  throw invalid("request_id", "must be a UUID of version 7: 8, 4, 4, 4 and 12 hexadecimal digits");
}

/** Whether receipts of the id's time are not kept any more. */
export function isExpired(requestId: string): boolean {
  return timeOfRequestId(requestId) < Date.now() - postgresLimits.receiptRetentionMs;
}

// The first 48 bits: https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7
function timeOfRequestId(requestId: string): number {
  return Number.parseInt(requestId.slice(0, 8) + requestId.slice(9, 13), 16);
}

function invalid(
  field: string,
  description: string,
  { reason = "INVALID_REQUEST", sentBefore = false }: { reason?: Reason; sentBefore?: boolean } = {},
): HandlerError {
  return new HandlerError({
    reason,
    message: `${field} ${description}.`,
    outcome: sentBefore ? "UNKNOWN" : "NOT_COMMITTED",
    fields: [{ field, description }],
  });
}
