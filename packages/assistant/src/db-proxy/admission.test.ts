import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { type Applicant, createAdmission, createWaitingRoom } from "./admission.ts";

const anybody: Applicant = { deadline: undefined, signal: new AbortController().signal };

/** A task that runs until it is told to end, and says when it began. */
function task() {
  const begun = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  let runs = 0;
  const run = async (): Promise<string> => {
    runs += 1;
    begun.resolve();
    await end.promise;
    return "done";
  };
  return { run, begun: begun.promise, end: () => end.resolve(), runs: () => runs };
}

describe("admission", () => {
  it("runs so many at a time, lets so many wait in order of arrival, and refuses the rest at once", async () => {
    const admission = createAdmission({ maxRunning: 2, room: createWaitingRoom(2) });
    const tasks = Array.from({ length: 4 }, task);
    const ends = tasks.map(({ run }) => admission.run(anybody, run));
    await Promise.all([tasks[0]?.begun, tasks[1]?.begun]);
    expect(admission.load).toEqual({ running: 2, waiting: 2 });
    await expect(admission.run(anybody, task().run)).rejects.toMatchObject({
      reason: "OVERLOADED",
      outcome: "NOT_COMMITTED",
      retryable: true,
    });
    expect(tasks[2]?.runs()).toBe(0);
    tasks[0]?.end();
    await tasks[2]?.begun;
    expect(tasks[3]?.runs()).toBe(0);
    for (const each of tasks) each.end();
    expect(await Promise.all(ends)).toEqual(["done", "done", "done", "done"]);
    expect(admission.load).toEqual({ running: 0, waiting: 0 });
  });

  it("never runs what waited for a caller that left, and gives its place in the queue to others", async () => {
    const admission = createAdmission({ maxRunning: 1, room: createWaitingRoom(1) });
    const [holder, left, next] = [task(), task(), task()];
    const held = admission.run(anybody, holder.run);
    const caller = new AbortController();
    const leaving = admission.run({ ...anybody, signal: caller.signal }, left.run);
    caller.abort();
    await expect(leaving).rejects.toMatchObject({ reason: "CANCELLED_BY_CALLER", outcome: "NOT_COMMITTED" });
    const waiting = admission.run(anybody, next.run);
    holder.end();
    next.end();
    expect(await Promise.all([held, waiting])).toEqual(["done", "done"]);
    expect(left.runs()).toBe(0);
  });

  it("never runs what waited past its deadline", async () => {
    const admission = createAdmission({ maxRunning: 1, room: createWaitingRoom(1) });
    const [holder, late] = [task(), task()];
    const held = admission.run(anybody, holder.run);
    const waiting = admission.run({ ...anybody, deadline: new Date(Date.now() - 1) }, late.run);
    holder.end();
    await expect(waiting).rejects.toMatchObject({ reason: "TRANSACTION_TIMEOUT", outcome: "NOT_COMMITTED" });
    expect(late.runs()).toBe(0);
    expect(await held).toBe("done");
  });

  it("refuses at once what would wait past its deadline, and lets wait what would not", async () => {
    const admission = createAdmission({ maxRunning: 1, room: createWaitingRoom(10) });
    await admission.run(anybody, () => delay(100));
    const tasks = Array.from({ length: 3 }, task);
    const [held, ...waiting] = tasks.map(({ run }) => admission.run(anybody, run));
    const within = (ms: number): Applicant => ({ ...anybody, deadline: new Date(Date.now() + ms) });
    await expect(admission.run(within(300), task().run)).rejects.toMatchObject({ reason: "OVERLOADED" });
    const patient = task();
    waiting.push(admission.run(within(5_000), patient.run));
    for (const each of [...tasks, patient]) each.end();
    expect(await Promise.all([held, ...waiting])).toEqual(["done", "done", "done", "done"]);
  });

  it("never runs what has waited so long that it can't be through in time", async () => {
    const admission = createAdmission({ maxRunning: 1, room: createWaitingRoom(10) });
    await admission.run(anybody, () => delay(100));
    const [holder, late] = [task(), task()];
    const held = admission.run(anybody, holder.run);
    const waiting = admission.run({ ...anybody, deadline: new Date(Date.now() + 400) }, late.run);
    setTimeout(holder.end, 300);
    await expect(waiting).rejects.toMatchObject({ reason: "TRANSACTION_TIMEOUT", outcome: "NOT_COMMITTED" });
    expect(late.runs()).toBe(0);
    expect(await held).toBe("done");
  });

  it("goes on after a task that failed", async () => {
    const admission = createAdmission({ maxRunning: 1, room: createWaitingRoom(0) });
    await expect(admission.run(anybody, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await admission.run(anybody, () => Promise.resolve(1))).toBe(1);
  });
});
