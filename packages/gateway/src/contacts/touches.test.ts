import { createLogger } from "@tandem/rpc";
import { describe, expect, it } from "vitest";
import { createTouches, type TouchCount, type TouchLimits } from "./touches.ts";
import type { WriteTouches } from "./write-touches.ts";

const quick: Partial<TouchLimits> = { intervalMs: 5, retryMs: 5 };
const NEVER_MS = 60_000;

/** Touches whose batches are noted, and written as the test says. */
function start(limits: Partial<TouchLimits>, write: WriteTouches = async () => {}) {
  const lines: string[] = [];
  const batches: {
    readonly channels: Record<string, number>;
    readonly requestId: string;
    readonly again: boolean;
  }[] = [];
  const logger = createLogger({
    service: "gateway",
    level: "info",
    destination: { write: (line) => void lines.push(line) },
  });
  const touches = createTouches({
    logger,
    limits,
    write: (batch, options) => {
      batches.push({ channels: counts(batch), requestId: options.requestId, again: options.again });
      return write(batch, options);
    },
  });
  const touch = (address: string): void => touches.touch({ type: "telegram", address });
  return { touch, batches, lines, end: () => touches[Symbol.asyncDispose]() };
}

function counts(batch: readonly TouchCount[]): Record<string, number> {
  return Object.fromEntries(batch.map(({ address, count }) => [address, count]));
}

function fails(times: number): WriteTouches {
  let left = times;
  return async () => {
    if (left-- > 0) throw new Error("Not now.");
  };
}

describe("interactions", () => {
  it("are counted until they are written together, and then anew", async () => {
    const { touch, batches, end } = start(quick);
    for (const address of ["@a", "@b", "@a"]) touch(address);
    await expect.poll(() => batches.length).toBe(1);
    touch("@a");
    await expect.poll(() => batches.length).toBe(2);
    expect(batches.map(({ channels }) => channels)).toEqual([{ "@a": 2, "@b": 1 }, { "@a": 1 }]);
    await end();
    expect(batches).toHaveLength(2);
  });

  it("are written before their time where there is a batch of them, and in batches", async () => {
    const { touch, batches, end } = start({ intervalMs: NEVER_MS, maxBatch: 2 });
    for (const address of ["@a", "@b", "@c"]) touch(address);
    await expect
      .poll(() => batches.map(({ channels }) => channels))
      .toEqual([{ "@a": 1, "@b": 1 }, { "@c": 1 }]);
    await end();
  });

  it("are written again, once under their id, where that failed; what is counted meanwhile comes behind", async () => {
    const { touch, batches, lines, end } = start(quick, fails(2));
    touch("@a");
    await expect.poll(() => batches.length).toBeGreaterThan(0);
    touch("@a");
    touch("@a");
    await expect.poll(() => batches.length).toBe(4);
    expect(batches.map(({ channels }) => channels)).toEqual([
      { "@a": 1 },
      { "@a": 1 },
      { "@a": 1 },
      { "@a": 2 },
    ]);
    expect(new Set(batches.slice(0, 3).map(({ requestId }) => requestId)).size).toBe(1);
    expect(batches.map(({ again }) => again)).toEqual([false, true, true, false]);
    expect(batches[3]?.requestId).not.toBe(batches[0]?.requestId);
    expect(lines.filter((line) => line.includes("tried again"))).toHaveLength(2);
    await end();
  });

  it("are lost after a number of failures, which the log says", async () => {
    const { touch, batches, lines, end } = start({ ...quick, maxAttempts: 3 }, fails(3));
    touch("@a");
    await expect.poll(() => lines.some((line) => line.includes("are lost"))).toBe(true);
    expect(batches).toHaveLength(3);
    touch("@b");
    await expect.poll(() => batches.at(-1)?.channels).toEqual({ "@b": 1 });
    await end();
  });

  it("are held of a bounded number of channels, and the log says how many are lost", async () => {
    const { touch, batches, lines, end } = start({ intervalMs: NEVER_MS, maxHeld: 2 });
    for (const address of ["@a", "@b", "@c", "@a", "@d"]) touch(address);
    await end();
    expect(batches.map(({ channels }) => channels)).toEqual([{ "@a": 2, "@b": 1 }]);
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([{ interactions: 2 }]);
  });

  it("are given up where they can't be written when it ends", async () => {
    const hangs: WriteTouches = (_, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("Ended."))));
    const { touch, lines, end } = start({ intervalMs: NEVER_MS, stopTimeoutMs: 10 }, hangs);
    touch("@a");
    await end();
    await expect.poll(() => lines.length).toBe(2);
    expect(lines.join()).toContain("could not be written in time");
  });
});
