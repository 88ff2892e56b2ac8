import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findFreePort } from "@tandem/embedded";
import { createProcesses, findProcesses } from "@tandem/testkit";
import { afterEach, expect, it } from "vitest";

const main = fileURLToPath(new URL("../packages/local/src/main.ts", import.meta.url));
const processes = createProcesses();
const folders: string[] = [];
afterEach(async () => {
  await processes.end();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

it("starts the real pair, says where everything is, and leaves nothing behind when it is told to stop", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tandem-start-"));
  folders.push(folder);
  const ports = new Set<number>();
  while (ports.size < 4) ports.add(await findFreePort());
  const [gateway, assistant, dbProxy, postgres] = [...ports];
  const local = await processes.spawn({
    args: [main],
    env: {
      TANDEM_DATA: folder,
      TANDEM_GATEWAY_PORT: String(gateway),
      TANDEM_ASSISTANT_PORT: String(assistant),
      TANDEM_DBPROXY_PORT: String(dbProxy),
      TANDEM_POSTGRES_PORT: String(postgres),
    },
  });
  const ready = await local.waitForLine("tandem ready", { timeoutMs: 60_000 });
  for (const port of ports) expect(ready).toContain(`127.0.0.1:${port}`);
  await local.waitForLine("committed: 1 contact and 1 channel");
  await local.waitForLine("rolled back: GUARD_UNMET, NOT_COMMITTED.");
  await local.waitForLine("the contact is still called Ada");
  await local.waitForLine(/active, 0 of 1 uses, version 1 +active, 0 of 1 uses, version 1/);
  await local.waitForLine(/redeemed, 1 of 1 uses, version 2 +redeemed, 1 of 1 uses, version 2/);
  local.kill("SIGTERM");
  expect(await local.waitForExit()).toEqual({ code: 0, signal: null });
  expect(await findProcesses(folder)).toEqual([]);
});
