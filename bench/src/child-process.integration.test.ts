import { expect, it } from "vitest";
import { startChild } from "./child-process.ts";

it("starts a process with the arguments and the flags that it is given", async () => {
  const started = { args: ["pair/tandem"], flags: ["--single-threaded-gc"] };
  await using child = startChild(new URL("testing/telling-child.ts", import.meta.url), started);
  expect(await child.ask({}, { timeoutMs: 10_000 })).toEqual(started);
});
