import { describe, expect, it } from "vitest";
import { createTimeSlices, type Interruptible } from "./time-slices.ts";

describe("large work", () => {
  it("gives the loop back again and again, however much of it there is", async () => {
    const slices = createTimeSlices();
    const works = Promise.all(Array.from({ length: 10 }, async () => slices.run(busy({ ms: 30 }))));
    const seen = { working: true, turns: 0, longestMs: 0 };
    const watch = (async () => {
      while (seen.working) {
        const started = performance.now();
        await new Promise((resolve) => setImmediate(resolve));
        seen.longestMs = Math.max(seen.longestMs, performance.now() - started);
        seen.turns += 1;
      }
    })();
    expect(await works).toEqual(Array.from({ length: 10 }, () => "done"));
    seen.working = false;
    await watch;
    // 300 ms of work; at one go it would be a single turn.
    expect(seen.turns).toBeGreaterThan(20);
    expect(seen.longestMs).toBeLessThan(100);
  });

  it("lets short work through while long work waits its turn", async () => {
    const slices = createTimeSlices();
    const ends: string[] = [];
    const long = [1, 2, 3].map((each) =>
      Promise.resolve(slices.run(busy({ ms: 50 }))).then(() => ends.push(`long ${each}`)),
    );
    await slices.run(busy({ ms: 0 }));
    ends.push("short");
    await Promise.all(long);
    expect(ends).toEqual(["short", "long 1", "long 2", "long 3"]);
  });

  it("fails alone", async () => {
    const slices = createTimeSlices();
    const failing = slices.run(
      busy({
        ms: 20,
        end: () => {
          throw new RangeError("too much");
        },
      }),
    );
    const fine = slices.run(busy({ ms: 20 }));
    await expect(failing).rejects.toThrow(new RangeError("too much"));
    expect(await fine).toBe("done");
  });
});

/** Takes so much of the processor's time, a little at a go. */
function* busy({ ms, end = () => "done" }: { ms: number; end?: () => string }): Interruptible<string> {
  for (let spent = 0; spent < ms;) {
    const started = performance.now();
    while (performance.now() - started < 0.5);
    spent += performance.now() - started;
    yield;
  }
  return end();
}
