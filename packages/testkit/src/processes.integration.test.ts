import { randomBytes } from "node:crypto";
import { afterAll, afterEach, expect, test } from "vitest";
import { findProcesses } from "./find-processes.ts";
import { trackLeaks } from "./leak-tracker.ts";
import { createProcesses } from "./processes.ts";
import { waitFor } from "./wait-for.ts";

const leaks = trackLeaks();
const processes = createProcesses();

afterEach(() => processes.end());
afterAll(() => leaks.expectNoLeaks());

const stays = "setInterval(() => {}, 1000);";

test("collects lines from both streams, finds those to come, and tells the exit code", async () => {
  const script = `console.log("one"); console.error("two"); setTimeout(() => { console.log(process.env.WORD); process.exit(3) }, 50)`;
  const child = await processes.spawn({ args: ["-e", script], env: { WORD: "three" } });
  expect(await child.waitForLine(/^thr/)).toBe("three");
  expect(await child.waitForExit()).toEqual({ code: 3, signal: null });
  expect(child.lines("stdout")).toEqual(["one", "three"]);
  expect(child.lines("stderr")).toEqual(["two"]);
});

test("says what was written instead when a line doesn't come before the end, or in time", async () => {
  const ending = await processes.spawn({ args: ["-e", `console.log("something else")`] });
  await expect(ending.waitForLine("ready")).rejects.toThrow(
    /ended without a line with ready[^]*something else/,
  );
  const staying = await processes.spawn({ args: ["-e", stays] });
  await expect(staying.waitForLine("ready", { timeoutMs: 50 })).rejects.toThrow("to write a line with ready");
  await expect(staying.waitForExit({ timeoutMs: 50 })).rejects.toThrow("to end");
});

test("passes signals on, and the end of the input", async () => {
  const killed = await processes.spawn({ args: ["-e", stays] });
  killed.kill("SIGINT");
  expect(await killed.waitForExit()).toEqual({ code: null, signal: "SIGINT" });
  const fed = await processes.spawn({ args: ["-e", "process.stdin.resume()"] });
  fed.endInput();
  expect(await fed.waitForExit()).toEqual({ code: 0, signal: null });
});

test("leaves no process behind at the end", async () => {
  const child = await processes.spawn({ args: ["-e", stays] });
  await processes.end();
  expect(await child.waitForExit()).toEqual({ code: null, signal: "SIGKILL" });
});

test("fails plainly for a program that is not there", async () => {
  await expect(processes.spawn({ file: "/no/such/program", args: [] })).rejects.toThrow("ENOENT");
});

test("finds a process whose parent has died by a word in its environment", async () => {
  const word = randomBytes(8).toString("hex");
  const script = `require("child_process").spawn(process.execPath, ["-e", "${stays}"], { stdio: "ignore", detached: true }).unref()`;
  const parent = await processes.spawn({ args: ["-e", script], env: { TANDEM_WORD: word } });
  await parent.waitForExit();
  const [orphan, ...others] = await waitFor(
    async () => {
      const found = await findProcesses(word);
      return found.length > 0 && found;
    },
    { describe: "the orphan to be found" },
  );
  expect(others).toEqual([]);
  if (orphan === undefined) throw new Error("There is no orphan.");
  process.kill(orphan.pid, "SIGKILL");
  await waitFor(async () => (await findProcesses(word)).length === 0, { describe: "nothing to be found" });
});
