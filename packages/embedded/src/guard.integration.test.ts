import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, expect, test } from "vitest";
// By path: testkit builds on this package, and a dependency back would be a circle.
import { waitFor } from "../../testkit/src/index.ts";
import { killIfThere } from "./kill-if-there.ts";
import { isAlive } from "./process-identity.ts";

const sleepers: number[] = [];

afterEach(() => sleepers.splice(0).forEach(killIfThere));

// A process that starts another one in a group of its own, guards it, and then does as it is told.
async function startGuarded(
  graceMs: number,
  then: string,
): Promise<{ parent: ChildProcess; sleeper: number }> {
  const script = `
    import { spawn } from "node:child_process";
    import { guardGroup } from ${JSON.stringify(join(import.meta.dirname, "guard.ts"))};
    const sleeper = spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
    const standDown = guardGroup(sleeper.pid, { graceMs: ${graceMs} });
    ${then}
    console.log(sleeper.pid);
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(createInterface({ input: parent.stdout }), "line");
  const sleeper = Number(line);
  sleepers.push(sleeper);
  return { parent, sleeper };
}

async function kill(parent: ChildProcess): Promise<void> {
  parent.kill("SIGKILL");
  await once(parent, "close");
}

test("kills a group when whoever guards it is killed", async () => {
  const { parent, sleeper } = await startGuarded(0, "");
  expect(await isAlive(sleeper)).toBe(true);
  await kill(parent);
  await waitFor(async () => !(await isAlive(sleeper)), {
    describe: "the group to be killed",
    timeoutMs: 3_000,
  });
});

test("gives a group its grace first", async () => {
  const { parent, sleeper } = await startGuarded(1_000, "");
  await kill(parent);
  const killed = performance.now();
  await waitFor(async () => !(await isAlive(sleeper)), {
    describe: "the group to be killed",
    timeoutMs: 5_000,
  });
  expect(performance.now() - killed).toBeGreaterThan(900);
});

test("leaves a group alone that it was told to stand down from", async () => {
  const { parent, sleeper } = await startGuarded(0, "standDown();");
  const { parent: other, sleeper: guarded } = await startGuarded(0, "");
  await kill(parent);
  await kill(other);
  // The guard that wasn't told has acted by then; the other one was told before.
  await waitFor(async () => !(await isAlive(guarded)), { describe: "the guarded group to be killed" });
  expect(await isAlive(sleeper)).toBe(true);
});
