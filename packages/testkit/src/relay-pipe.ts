import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { RelayItem } from "./relay-trigger.ts";

// What is held back before the sender is told to wait.
const heldBytesLimit = 64 * 1024;

/** One direction of a connection through a relay. */
export interface RelayPipe {
  /** To be called when what decides whether it is stalled has changed. */
  update(): void;
}

/**
 * Passes what one socket receives on to another, in order, no faster than the other takes it. Ends the
 * other's side when the first has ended and everything before that was passed on.
 */
export function createRelayPipe(options: {
  readonly from: Socket;
  readonly to: Socket;
  readonly delayMs: () => number;
  readonly isStalled: () => boolean;
  readonly onPassed: (count: number) => void;
  readonly split: (chunk: Buffer) => RelayItem[];
}): RelayPipe {
  const { from, to } = options;
  const queue: { readonly item: RelayItem | "end"; readonly due: number }[] = [];
  let heldBytes = 0;
  let running = false;
  const abort = new AbortController();

  const add = (item: RelayItem | "end"): void => {
    queue.push({ item, due: performance.now() + options.delayMs() });
    void run();
  };
  from.on("data", (chunk: Buffer) => {
    heldBytes += chunk.length;
    if (heldBytes >= heldBytesLimit) from.pause();
    for (const item of options.split(chunk)) add(item);
  });
  from.on("end", () => add("end"));
  for (const socket of [from, to]) socket.on("close", () => abort.abort());

  async function run(): Promise<void> {
    if (running) return;
    running = true;
    while (!options.isStalled() && !from.destroyed && !to.destroyed) {
      const next = queue[0];
      if (next === undefined) break;
      const early = next.due - performance.now();
      if (early > 0) {
        await delay(early, undefined, { signal: abort.signal }).catch(() => undefined);
        continue;
      }
      queue.shift();
      await pass(next.item);
    }
    running = false;
  }

  async function pass(item: RelayItem | "end"): Promise<void> {
    if (item === "end") {
      to.end();
    } else if ("action" in item) {
      item.action();
    } else {
      if (!(await written(to, item.bytes))) return;
      options.onPassed(item.bytes.length);
      heldBytes -= item.bytes.length;
      if (heldBytes < heldBytesLimit) from.resume();
    }
  }

  return { update: () => void run() };
}

// Resolves when the system has taken the bytes, with false when it never will.
async function written(to: Socket, bytes: Buffer): Promise<boolean> {
  if (to.destroyed) return false;
  return new Promise((resolve) => {
    const never = (): void => resolve(false);
    to.once("close", never);
    to.write(bytes, (error) => {
      to.off("close", never);
      resolve(error === null || error === undefined);
    });
  });
}
