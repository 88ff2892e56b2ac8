import type { Metadata } from "@grpc/grpc-js";
import { randomUUID } from "node:crypto";
import type { StreamItem } from "../identity/admission.ts";
import type { Logger } from "../logger.ts";

/** Carries the id under which a call, and the calls that it leads to, are logged on every side. */
export const CALL_ID_HEADER = "tandem-call-id";

/** What a handler knows of the call it answers. Hand it on as `context` to the calls that it makes. */
export interface HandlerContext {
  /** `tandem.assistant.v1.DbProxy/Transaction` */
  readonly method: string;
  readonly callId: string;
  /**
   * Who calls, by its certificate or its token. Undefined where the server was given no `identity`, and for
   * methods that anyone may call.
   */
  readonly caller: string | undefined;
  /**
   * Who an item of this stream comes from, where it stands for a call of its own. Throws the HandlerError that
   * the call would be refused with.
   */
  readonly authoriseItem: (item: StreamItem) => string | undefined;
  /** The caller's address, for the log. Not an identity. */
  readonly peer: string;
  /** When the caller stops waiting. */
  readonly deadline: Date | undefined;
  /**
   * Aborted when nobody waits for the answer any more: the caller cancelled, its deadline passed, its
   * connection broke, or the server stops by force.
   */
  readonly signal: AbortSignal;
  /** Aborted when the server begins to drain: a stream without an end of its own should end now. */
  readonly draining: AbortSignal;
  /** What the caller sent along, without its credentials where the server looks at them. */
  readonly metadata: Metadata;
  /** Sent with the first response, and with the status. */
  readonly responseHeaders: Metadata;
  readonly responseTrailers: Metadata;
  /** Logs with the call's id and method. */
  readonly logger: Logger;
}

/** The id that a call came with, or else a new one. */
export function toCallId(metadata: Metadata): string {
  return parseCallId(metadata.get(CALL_ID_HEADER)[0]);
}

/** The same, of what was given for it. */
export function parseCallId(given: unknown): string {
  // One that would forge or flood a line of the log is replaced, not cleaned.
  return typeof given === "string" && /^[\w.:-]{1,64}$/.test(given) ? given : randomUUID();
}
