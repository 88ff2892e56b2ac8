import { expect, it } from "vitest";
import type { Measurable } from "./place/measurable.ts";
import type { Measured } from "./row.ts";
import { runRounds } from "./run-rounds.ts";

const measured: Measured = { completed: 10, elapsedMs: 100, p50Ms: 1, p99Ms: 2, cpuMs: {} };

function measurable(name: string, measure: Measurable["measure"]): Measurable {
  const row = {
    kind: "program" as const,
    measures: name,
    interval: () => Promise.reject(new Error("not run")),
  };
  return {
    named: { name, set: "set", row },
    service: undefined,
    measure,
    [Symbol.asyncDispose]: async () => {},
  };
}

const options = { rounds: 3, concurrency: [1, 16], intervalMs: 100, warmUpMs: 100 };

it("measures the others on when a row fails, and gives no figure of the one that failed", async () => {
  let calls = 0;
  const fails = measurable("set/fails", async () => {
    calls += 1;
    if (calls > 3) throw new Error("it broke");
    return measured;
  });
  const rows = [measurable("set/works", async () => measured), fails];
  const lines: string[] = [];
  const signal = new AbortController().signal;
  const found = await runRounds({ rows }, options, { onProgress: (line) => lines.push(line), signal });
  expect(found.failures).toEqual([{ name: "set/fails", why: "it broke" }]);
  expect(found.series.map(({ named, inFlight, rounds }) => [named.name, inFlight, rounds.length])).toEqual([
    ["set/works", 1, 3],
    ["set/works", 16, 3],
  ]);
  expect(calls).toBe(4);
  expect(lines).toContain("set/fails FAILED: it broke");
});

it("ends at once when it is told to stop", async () => {
  const stop = new AbortController();
  const row = measurable("set/works", async () => {
    stop.abort(new Error("enough"));
    return measured;
  });
  const running = runRounds({ rows: [row] }, options, { onProgress: () => undefined, signal: stop.signal });
  await expect(running).rejects.toThrow("enough");
});
