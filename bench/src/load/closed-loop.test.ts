import { setImmediate } from "node:timers/promises";
import { expect, it } from "vitest";
import { runClosedLoop } from "./closed-loop.ts";

it("keeps as many calls in flight as it is told, waits for all of them, and counts each", async () => {
  let running = 0;
  let most = 0;
  let calls = 0;
  const call = async (): Promise<void> => {
    running += 1;
    most = Math.max(most, running);
    await setImmediate();
    running -= 1;
    calls += 1;
  };
  const measured = await runClosedLoop({ call, close: () => undefined }, { inFlight: 7, durationMs: 20 });
  expect(most).toBe(7);
  expect(running).toBe(0);
  expect(measured.completed).toBe(calls);
  expect(measured.elapsedMs).toBeGreaterThanOrEqual(20);
  expect(measured.p99Ms).toBeGreaterThanOrEqual(measured.p50Ms);
});

it("fails with a call that fails, since what wasn't done has no speed, and begins none after it", async () => {
  let calls = 0;
  let running = 0;
  const call = async (): Promise<void> => {
    calls += 1;
    running += 1;
    const fails = calls === 10;
    await setImmediate();
    running -= 1;
    if (fails) throw new Error("the tenth");
  };
  const loop = runClosedLoop({ call, close: () => undefined }, { inFlight: 4, durationMs: 1_000 });
  await expect(loop).rejects.toThrow("the tenth");
  expect(running).toBe(0);
  const begun = calls;
  await setImmediate();
  expect(calls).toBe(begun);
  expect(calls).toBeLessThan(20);
});
