import { setTimeout as delay } from "node:timers/promises";
import { HandlerError, TransportError } from "@tandem/rpc";

/**
 * What a caller is told of a write that failed: that it isn't there and never will be, or nothing.
 *
 * @throws what is neither the other side's decision nor the transport's failure: a defect
 */
export function toldBy(error: unknown): "denied" | "unknown" {
  if (error instanceof HandlerError) return error.outcome === "NOT_COMMITTED" ? "denied" : "unknown";
  if (error instanceof TransportError) return error.sent === "no" ? "denied" : "unknown";
  throw error;
}

/** What a caller waits before its next call, so that it doesn't try a thousand times while nobody is there. */
export async function pauseAfter(error: unknown): Promise<void> {
  const answered = error instanceof HandlerError && !error.retryable;
  if (!answered) await delay(PAUSE_MS);
}

const PAUSE_MS = 100;
