import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "@tandem/contract/health/v1/health";
import { setTimeout as delay } from "node:timers/promises";
import type { Channel } from "../client/channel.ts";
import { type Client, createClient } from "../client/client.ts";
import { HandlerError } from "../errors/handler-error.ts";
import { TransportError } from "../errors/transport-error.ts";
import { WHOLE_SERVER } from "./health-service.ts";

/**
 * What was last seen of a peer that is waited for. `unreachable`: nobody's handler answered.
 * `not-serving`: it is there and says that it isn't ready (its migrations may still run).
 */
export type PeerState = "unreachable" | "not-serving";

export interface WaitForPeerOptions {
  readonly channel: Channel;
  /** What to call the peer in messages: "assistant". */
  readonly name: string;
  /** A service's full name; the server as a whole where it isn't said. */
  readonly service?: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** How long to rest between two looks, and how long one may take. */
  readonly intervalMs?: number;
  readonly probeTimeoutMs?: number;
  /** Told once for each change of what is seen. */
  readonly onWaiting?: (state: PeerState, details: string) => void;
}

const MIN_LOOK_MS = 500;

/** The peer did not become ready in time. */
export class PeerNotReadyError extends Error {
  override readonly name = "PeerNotReadyError";
  readonly state: PeerState;

  constructor(options: {
    peer: string;
    state: PeerState;
    timeoutMs: number;
    details: string;
    cause?: unknown;
  }) {
    const seconds = Math.round(options.timeoutMs / 1000);
    const saw =
      options.state === "unreachable" ? "it could not be reached" : "it answered, but was not ready";
    super(`The ${options.peer} was not ready within ${seconds} s: ${saw} (${options.details}).`, options);
    this.state = options.state;
  }
}

/**
 * Waits until a peer reports SERVING. A peer that can't be reached, or that isn't ready yet, is waited
 * for, up to `timeoutMs` (PeerNotReadyError). A handler's error is a decision that waiting won't change
 * (wrong credentials, wrong service): it is thrown at once, as the HandlerError that it is.
 */
export async function waitForPeer(options: WaitForPeerOptions): Promise<void> {
  const { channel, name, timeoutMs, signal, intervalMs = 250, probeTimeoutMs = 2_000 } = options;
  const health = createClient(Health, channel);
  const until = Date.now() + timeoutMs;
  let last: Seen | undefined;
  for (;;) {
    signal?.throwIfAborted();
    // The last look gets time enough to see something, even where little is left.
    const lookMs = Math.min(probeTimeoutMs, Math.max(MIN_LOOK_MS, until - Date.now()));
    const probe = { timeoutMs: lookMs, ...(signal === undefined ? {} : { signal }) };
    const seen = await look(health, options.service ?? WHOLE_SERVER, probe);
    if (seen === "serving") return;
    signal?.throwIfAborted();
    if (seen.state !== last?.state) options.onWaiting?.(seen.state, seen.details);
    last = seen;
    const rest = Math.min(intervalMs, until - Date.now());
    if (rest <= 0) throw new PeerNotReadyError({ peer: name, timeoutMs, ...last });
    await delay(rest, undefined, signal === undefined ? {} : { signal });
  }
}

interface Seen {
  readonly state: PeerState;
  readonly details: string;
  readonly cause?: unknown;
}

async function look(
  health: Client<typeof Health>,
  service: string,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<"serving" | Seen> {
  try {
    const { status } = await health.check({ service }, options);
    if (status === ServingStatus.SERVING) return "serving";
    return {
      state: "not-serving",
      details: `${service === "" ? "the server" : service} reports NOT_SERVING`,
    };
  } catch (error) {
    if (error instanceof TransportError)
      return { state: "unreachable", details: error.message, cause: error };
    // A draining instance is being replaced: its successor is what is waited for.
    if (error instanceof HandlerError && error.retryable)
      return { state: "not-serving", details: error.message, cause: error };
    throw error;
  }
}
