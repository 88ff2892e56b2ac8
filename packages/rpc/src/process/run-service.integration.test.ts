import { createProcesses, type SpawnedProcess } from "@tandem/testkit";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";

const script = fileURLToPath(new URL("../testing/service-process.ts", import.meta.url));
const processes = createProcesses();
afterEach(() => processes.end());

describe("a service's process", () => {
  it.each(["SIGTERM", "SIGINT"] as const)(
    "stops and exits with 0 on %s, also when it comes twice",
    async (signal) => {
      const service = await start("runs", "started");
      service.kill(signal);
      service.kill(signal);
      expect(await service.waitForExit()).toEqual({ code: 0, signal: null });
      expect(messages(service).at(-1)).toBe("stopped");
    },
  );

  it("stops when whoever started it is gone", async () => {
    const service = await start("runs", "started");
    service.endInput();
    expect((await service.waitForExit()).code).toBe(0);
  });

  it("exits with 0 when it is told to stop while it starts", async () => {
    const service = await start("starts slowly", "starting");
    service.kill("SIGTERM");
    expect((await service.waitForExit()).code).toBe(0);
  });

  it.each([
    ["cannot start", "The database is not there."],
    ["is set up wrongly", "TANDEM_DATABASE_URL is not set."],
    ["has a defect", "a defect: the process can't be trusted any more and ends"],
  ])("exits with 1 and says why when it %s", async (behaviour, message) => {
    const service = await processes.spawn({ args: [script, behaviour] });
    expect((await service.waitForExit()).code).toBe(1);
    expect(messages(service).at(-1)).toBe(message);
  });

  it("exits with 1 when its stop hangs", async () => {
    const service = await start("hangs at the end", "started");
    service.kill("SIGTERM");
    expect((await service.waitForExit()).code).toBe(1);
    expect(messages(service).at(-1)).toBe("The stop did not end within 3000 ms.");
  });
});

async function start(behaviour: string, line: string): Promise<SpawnedProcess> {
  const service = await processes.spawn({ args: [script, behaviour] });
  await service.waitForLine(line);
  return service;
}

function messages(service: SpawnedProcess): unknown[] {
  return service.lines().map((line) => (JSON.parse(line) as { msg: unknown }).msg);
}
