import { createHook } from "node:async_hooks";
import { setImmediate as nextTurn } from "node:timers/promises";
import { waitFor } from "./wait-for.ts";

// Node's names for what somebody has to close, and ours. Requests to the file system and the like end
// by themselves.
const kinds: Readonly<Record<string, string>> = {
  TCPWRAP: "connection",
  TCPSERVERWRAP: "server",
  TLSWRAP: "TLS connection",
  PIPEWRAP: "pipe",
  PIPESERVERWRAP: "server on a pipe",
  UDPWRAP: "UDP socket",
  PROCESSWRAP: "child process",
  Timeout: "timer",
};

/** Notes what is opened in this process from the moment it was made. */
export interface LeakTracker {
  /**
   * Waits until all that was opened since is closed: connections, servers, pipes and child processes,
   * also those that don't keep the process alive, and the timers that do. What vitest opens for itself
   * doesn't count.
   *
   * @throws Error with a sentence that says what is still open when the time is up, and where it was opened
   */
  expectNoLeaks(options?: { readonly timeoutMs?: number }): Promise<void>;
}

/** To be called before a suite opens anything; expectNoLeaks() then belongs at the end of its afterAll(). */
export function trackLeaks(): LeakTracker {
  const open = new Map<number, Opened>();
  const hook = createHook({
    // Following every promise would make all the others slow.
    trackPromises: false,
    init: function init(id: number, type: string, _trigger: number, resource: object) {
      const kind = kinds[type];
      if (kind === undefined) return;
      const origin = originOf(init);
      if (!origin.includes("/node_modules/vitest/") && !origin.includes("/node_modules/@vitest/")) {
        open.set(id, { kind, origin, resource });
      }
    },
    destroy: (id) => void open.delete(id),
  });
  hook.enable();
  return {
    expectNoLeaks: async ({ timeoutMs = 2_000 } = {}) => {
      try {
        await waitFor(
          async () => {
            // What was closed is reported as such a turn later.
            await nextTurn();
            return stillOpen(open).length === 0;
          },
          { describe: "everything to be closed", timeoutMs },
        );
      } catch (error) {
        const what = stillOpen(open).map(({ kind, origin }) => `${kind} opened ${origin}`);
        throw new Error(`Still open ${timeoutMs / 1000} s after the end: ${what.join("; ")}.`, {
          cause: error,
        });
      }
    },
  };
}

interface Opened {
  readonly kind: string;
  readonly origin: string;
  readonly resource: object;
}

// A timer that doesn't keep the process alive is how a library cleans up at leisure.
function stillOpen(open: ReadonlyMap<number, Opened>): Opened[] {
  return [...open.values()].filter(({ kind, resource }) => kind !== "timer" || keepsAlive(resource));
}

function keepsAlive(resource: object): boolean {
  return "hasRef" in resource && typeof resource.hasRef === "function" && Boolean(resource.hasRef());
}

// The innermost place that is not Node's own.
function originOf(hook: (...parameters: never[]) => void): string {
  const trace: { stack?: string } = {};
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 30;
  Error.captureStackTrace(trace, hook);
  Error.stackTraceLimit = limit;
  const frames = (trace.stack ?? "").split("\n").filter((line) => line.trim().startsWith("at "));
  const frame = frames.find((line) => !line.includes("node:"));
  return frame?.trim() ?? "by Node, for a call made earlier";
}
