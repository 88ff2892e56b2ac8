import type { Metadata } from "@grpc/grpc-js";
import type { HandlerContext } from "../server/handler-context.ts";

/** What a caller may say of one call. The earliest of its deadlines counts. */
export interface CallOptions {
  /** How long the call may take from now on. */
  readonly timeoutMs?: number;
  readonly deadline?: Date;
  /** Cancels the call here and in the handler on the other side. */
  readonly signal?: AbortSignal;
  /** The handler on whose behalf the call is made: its deadline, cancellation and call id go along. */
  readonly context?: Pick<HandlerContext, "deadline" | "signal" | "callId">;
  readonly metadata?: Readonly<Record<string, string | Uint8Array>>;
  /** Waits, within the deadline, for a peer that can't be reached, instead of failing at once. */
  readonly waitForReady?: boolean;
  /** Called with the headers that the other side sent, and with its trailers. They must not throw. */
  readonly onHeaders?: (metadata: Metadata) => void;
  readonly onTrailers?: (metadata: Metadata) => void;
}
