import { HandlerError, invalidField } from "@tandem/rpc";
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
 * that time are gone. Of a copy it says that nobody knows: an earlier one may have met a server that took it.
 */
export function parseRequestIdentity(given: GivenIdentity): RequestIdentity {
  try {
    return check(given);
  } catch (error) {
    throw error instanceof HandlerError && given.attempt > 0 ? error.withOutcome("UNKNOWN") : error;
  }
}

function check(given: GivenIdentity): RequestIdentity {
  const requestId = parseRequestId(given.requestId);
  const { attempt, requestedAt, sourceInstanceId } = given;
  if (attempt < 0) throw invalidField({ field: "attempt", why: "must not be negative" });
  if (sourceInstanceId.length > MAX_NAME_LENGTH) {
    const why = `is longer than ${MAX_NAME_LENGTH} characters`;
    throw invalidField({ field: "meta.source_instance_id", why });
  }
  if (requestedAt === undefined) {
    const why = "is required with a request_id: the time when the write was first wanted";
    throw invalidField({ field: "meta.requested_at", why });
  }
  if (isAhead(requestedAt.getTime())) {
    const why = "is more than a minute ahead of this server's clock";
    throw invalidField({ field: "meta.requested_at", why });
  }
  const why =
    "is older than receipts are kept: it is not run, and whether it was run before is not known any more";
  const reason = "REQUEST_ID_EXPIRED";
  if (isExpired(requestId)) throw invalidField({ reason, field: "request_id", why });
  if (requestedAt.getTime() < Date.now() - postgresLimits.receiptRetentionMs) {
    throw invalidField({ reason, field: "meta.requested_at", why });
  }
  return { ...given, requestId, requestedAt };
}

/** The id in its one form. Fails with INVALID_REQUEST where it isn't a UUIDv7, or of a time to come. */
export function parseRequestId(given: string): string {
  const requestId = given.toLowerCase();
  if (!UUID_V7.test(requestId)) {
    const why = "must be a UUID of version 7: 8, 4, 4, 4 and 12 hexadecimal digits";
    throw invalidField({ field: "request_id", why });
  }
  if (isAhead(timeOfRequestId(requestId))) {
    throw invalidField({
      field: "request_id",
      why: "was made more than a minute ahead of this server's clock",
    });
  }
  return requestId;
}

/** Whether receipts of the id's time are not kept any more. */
export function isExpired(requestId: string): boolean {
  return timeOfRequestId(requestId) < Date.now() - postgresLimits.receiptRetentionMs;
}

function isAhead(time: number): boolean {
  return time > Date.now() + postgresLimits.maxClockAheadMs;
}

// The first 48 bits: https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7
function timeOfRequestId(requestId: string): number {
  return Number.parseInt(requestId.slice(0, 8) + requestId.slice(9, 13), 16);
}
