import { randomUUIDv7 } from "node:crypto";

/**
 * Makes the id of one write, a UUIDv7. Who keeps it before the write is sent can find out what became of it,
 * or send it again, even after a crash.
 */
export function newRequestId(): string {
  return randomUUIDv7();
}

/**
 * The request_id of the transaction that failed with this error. Undefined where it had none (it was only to
 * be validated, or never became a request) and for any other error.
 */
export function requestIdOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("requestId" in error)) return undefined;
  return typeof error.requestId === "string" ? error.requestId : undefined;
}

/** Names the request_id on an error, for `requestIdOf` and for whoever reads the error in a log. */
export function withRequestId(error: unknown, requestId: string): unknown {
  return error instanceof Error ? Object.assign(error, { requestId }) : error;
}

/** @throws TypeError for what is no UUIDv7 */
export function parseRequestId(given: unknown): string {
  if (typeof given === "string" && UUID_V7.test(given)) return given.toLowerCase();
  throw new TypeError("A requestId is a UUIDv7, such as newRequestId() makes.");
}

/** The moment that stands in a UUIDv7, in milliseconds since 1970. */
export function requestIdTime(requestId: string): number {
  return Number.parseInt(requestId.slice(0, 8) + requestId.slice(9, 13), 16);
}

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;
