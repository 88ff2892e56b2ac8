import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { provideRolePasswords } from "./role-passwords.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-secrets-"));
});

afterEach(() => rm(folder, { recursive: true }));

test("makes passwords once, readable to their owner alone, and one more for a role that is new", async () => {
  const first = await provideRolePasswords(join(folder, "secrets.json"), ["one", "two"]);
  expect(first["one"]).not.toBe(first["two"]);
  expect((await stat(join(folder, "secrets.json"))).mode & 0o777).toBe(0o600);
  expect(await provideRolePasswords(join(folder, "secrets.json"), ["one", "two"])).toEqual(first);
  const second = await provideRolePasswords(join(folder, "secrets.json"), ["one", "two", "three"]);
  expect(second).toEqual({ ...first, three: expect.any(String) });
  expect(await provideRolePasswords(join(folder, "secrets.json"), ["three"])).toEqual(second);
  expect(await readdir(folder)).toEqual(["secrets.json"]);
});

test("makes new ones where the file holds something else", async () => {
  for (const content of ["", "{", "[]", "null", '{"one": 1}']) {
    await writeFile(join(folder, "secrets.json"), content);
    const { one } = await provideRolePasswords(join(folder, "secrets.json"), ["one"]);
    expect(one).toMatch(/^[\w-]{32}$/);
    expect(JSON.parse(await readFile(join(folder, "secrets.json"), "utf8"))).toEqual({ one });
  }
});
