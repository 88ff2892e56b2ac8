import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { provideCertificates } from "@tandem/certificates";
import { createProcesses, type SpawnedProcess } from "@tandem/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createPair, type Pair, type Service } from "./pair.ts";

const example = new URL("../packages/local/src/example.ts", import.meta.url);
const processes = createProcesses();
let pair: Pair;
let assistant: Service;
let certificates: string;
/** What makes a service show its certificate. */
let certified: (name: "gateway" | "assistant") => Readonly<Record<string, string>>;
beforeAll(async () => {
  pair = await createPair();
  certificates = await mkdtemp(join(tmpdir(), "tandem-certificates-"));
  const { authorityFile, of } = await provideCertificates({
    folder: certificates,
    names: ["gateway", "assistant"],
  });
  certified = (name) => ({
    TANDEM_TLS_AUTHORITY_FILE: authorityFile,
    TANDEM_TLS_CERTIFICATE_FILE: of[name].certificateFile,
    TANDEM_TLS_KEY_FILE: of[name].keyFile,
    TANDEM_ALLOW_PLAINTEXT: "",
    TANDEM_PLAINTEXT_CALLER: "",
  });
  assistant = await pair.startAssistant({
    ...certified("assistant"),
    TANDEM_POLICY_FILE: fileURLToPath(new URL("../packages/local/policy.yaml", import.meta.url)),
  });
  await assistant.process.waitForLine('"msg":"serving"');
});
afterAll(async () => {
  await processes.end();
  await pair[Symbol.asyncDispose]();
  await rm(certificates, { recursive: true });
});

it("the README's example is the one that npm start runs, and prints what the README says", async () => {
  const readme = await read("../README.md");
  expect(readme).toContain(`\`\`\`ts\n${await readFile(example, "utf8")}\`\`\``);

  const address = await assistant.dbProxyAddress();
  for (const time of ["first", "second"]) {
    const run = await processes.spawn({ args: [fileURLToPath(example), address, certificates] });
    expect((await run.waitForExit()).code, `the ${time} time`).toBe(0);
    expect(readme).toContain(block(run));
  }

  const nowhere = await processes.spawn({ args: [fileURLToPath(example), "127.0.0.1:9", certificates] });
  expect((await nowhere.waitForExit()).code).toBe(1);
  const error = nowhere.lines().find((line) => line.startsWith("TransportError"));
  expect(readme).toContain(`\`\`\`\n${error?.replaceAll("127.0.0.1:9", "127.0.0.1:7403")}\n\`\`\``);
});

it.each([
  ["first", /```ts\n(.*?)```/s, "../packages/dbproxy"],
  ["of declared statements", /## Declared statements\n.*?```ts\n(.*?)```/s, "."],
])(
  "the example of packages/dbproxy, %s, runs and prints what its README says",
  async (_, pattern, folder) => {
    const readme = await read("../packages/dbproxy/README.md");
    const [, code = ""] = pattern.exec(readme) ?? [];
    const run = await processes.spawn({
      args: [
        "--input-type=module-typescript",
        "--eval",
        code
          .replace("127.0.0.1:7403", await assistant.dbProxyAddress())
          .replace("../../.tandem/certificates", certificates),
      ],
      cwd: fileURLToPath(new URL(folder, import.meta.url)),
    });
    expect((await run.waitForExit()).code).toBe(0);
    expect(readme).toContain(block(run));
  },
);

it("the examples of packages/gateway run and print what its README says", async () => {
  const gateway = await pair.startGateway({
    ...certified("gateway"),
    TANDEM_ASSISTANT_ADDRESS: await assistant.dbProxyAddress(),
    TANDEM_CONTACTS_CALLERS: "gateway",
    TANDEM_INVITES_CALLERS: "gateway",
  });
  await gateway.process.waitForLine('"msg":"serving"');
  const readme = await read("../packages/gateway/README.md");
  const examples = [...readme.matchAll(/```ts\n(.*?)```/gs)];
  expect(examples).toHaveLength(2);
  for (const [, code = ""] of examples) {
    const run = await processes.spawn({
      args: [
        "--input-type=module-typescript",
        "--eval",
        code
          .replace("127.0.0.1:7401", await gateway.address())
          .replace("../../.tandem/certificates", certificates),
      ],
      cwd: fileURLToPath(new URL(".", import.meta.url)),
    });
    expect((await run.waitForExit()).code).toBe(0);
    expect(readme).toContain(block(run));
  }
});

function block(run: SpawnedProcess): string {
  return `\`\`\`\n${run.lines("stdout").join("\n")}\n\`\`\``;
}

async function read(path: string): Promise<string> {
  return readFile(new URL(path, import.meta.url), "utf8");
}
