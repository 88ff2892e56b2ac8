import { readFile } from "node:fs/promises";
import { createProcesses } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createPair, type Pair } from "./pair.ts";

const processes = createProcesses();
let pair: Pair;
beforeAll(async () => {
  pair = await createPair();
});
afterAll(async () => {
  await processes.end();
  await pair[Symbol.asyncDispose]();
});

it("the README's example runs and prints what the README says", async () => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const [, code = ""] = /```ts\n(.*?)```/s.exec(readme) ?? [];
  const assistant = await pair.startAssistant();
  await assistant.serving();
  const address = await assistant.address();

  const withServer = await run(code, address);
  assistant.process.kill("SIGTERM");
  await assistant.process.waitForExit();
  const withoutServer = await run(code, address);

  expect(withServer).toHaveLength(2);
  expect(readme).toContain(`\`\`\`\n${withServer.join("\n")}\n\`\`\``);
  expect(readme).toContain(`\`\`\`\n${withoutServer[0]}\n\`\`\``);
});

async function run(code: string, address: string): Promise<readonly string[]> {
  const args = ["--input-type=module-typescript", "--eval", code.replace("127.0.0.1:7402", address)];
  const example = await processes.spawn({ args, cwd: import.meta.dirname });
  expect(await example.waitForExit()).toEqual({ code: 0, signal: null });
  return example.lines("stdout").map((line) => line.replaceAll(address, "127.0.0.1:7402"));
}
