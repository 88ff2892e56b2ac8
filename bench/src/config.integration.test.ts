import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { environmentForPrograms, findPgbench } from "./config.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-pgbench-"));
  for (const name of ["empty", "first", "second"]) await mkdir(join(folder, name));
  for (const name of ["first", "second"]) await writeFile(join(folder, name, "pgbench"), "", { mode: 0o700 });
  await writeFile(join(folder, "empty", "pgbench"), "not a program", { mode: 0o600 });
});
afterAll(() => rm(folder, { recursive: true }));

const pathOf = (...names: readonly string[]): string =>
  names.map((name) => join(folder, name)).join(delimiter);

it("finds the first pgbench of the PATH that is a program, or the one that it is told of", () => {
  const environment = { PATH: pathOf("empty", "first", "second") };
  expect(findPgbench(environment)).toBe(join(folder, "first", "pgbench"));
  const told = join(folder, "second", "pgbench");
  expect(findPgbench({ ...environment, TANDEM_BENCH_PGBENCH: told })).toBe(told);
});

it("finds none where there is none, also where it is told of one that isn't there", () => {
  expect(findPgbench({ PATH: pathOf("nowhere") })).toBeUndefined();
  expect(findPgbench({})).toBeUndefined();
  const told = join(folder, "nowhere", "pgbench");
  expect(findPgbench({ PATH: pathOf("first"), TANDEM_BENCH_PGBENCH: told })).toBeUndefined();
});

it("keeps from the services what is set for others of their kind", () => {
  const environment = { PATH: "/bin", TANDEM_LISTEN: "127.0.0.1:1", TANDEM_BENCH_TEST: "this" };
  expect(environmentForPrograms(environment)).toEqual({ PATH: "/bin", TANDEM_BENCH_TEST: "this" });
});
