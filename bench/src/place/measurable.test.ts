import { expect, it } from "vitest";
import type { ProgramPlace, ProgramRow } from "../row.ts";
import { openRow } from "./measurable.ts";
import type { Service } from "./services.ts";

it("counts what a row uses from where it begins, with what it leaves to be done", async () => {
  let cpuMs = 0;
  const use = async (ms: number): Promise<void> => {
    cpuMs += ms;
  };
  const service: Service = {
    name: "service",
    place: { address: "127.0.0.1:1" },
    atRest: { cpuMs: 0, residentBytes: undefined },
    usage: async () => ({ cpuMs, residentBytes: undefined }),
    settle: () => use(1),
    [Symbol.asyncDispose]: async () => undefined,
  };
  const seen: unknown[] = [];
  const row: ProgramRow = {
    kind: "program",
    measures: "",
    service: {},
    interval: async (given, _interval, begins) => {
      seen.push(given.service);
      await use(100);
      await begins();
      await use(10);
      return { completed: 1, elapsedMs: 1, p50Ms: 1, p99Ms: 1, cpuMs: {} };
    },
  };
  const place: ProgramPlace = {
    databaseUrl: "",
    assistantUrls: { database: "", migration: "", dbProxy: "" },
    connections: 1,
    mirrorRows: 1,
    folder: "",
    pgbench: undefined,
  };
  const named = { name: "set/row", set: "set", row };
  await using measurable = await openRow({ named, place, service, databasePid: process.pid });
  const measured = await measurable.measure({ inFlight: 1, durationMs: 1 });
  expect(measured.cpuMs.service).toBe(11);
  expect(measured).not.toHaveProperty("serviceBytes");
  expect(seen).toEqual([service.place]);
});
