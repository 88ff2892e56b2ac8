import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FolderLockedError, lockFolder } from "./folder-lock.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-lock-"));
});

afterEach(() => rm(folder, { recursive: true }));

test("is held until it is released, and names its holder to others", async () => {
  const lock = await lockFolder(folder);
  expect(lock.predecessorDied).toBe(false);
  const second = lockFolder(folder);
  await expect(second).rejects.toBeInstanceOf(FolderLockedError);
  await expect(second).rejects.toMatchObject({ pid: process.pid });
  await lock.release();
  await (await lockFolder(folder)).release();
  expect(await readdir(folder)).toEqual([]);
});

test("blocks while the holder lives, and nobody once it was killed", async () => {
  const script = `
    import { lockFolder } from ${JSON.stringify(join(import.meta.dirname, "folder-lock.ts"))};
    await lockFolder(${JSON.stringify(folder)});
    setInterval(() => {}, 1000);
    console.log("held");`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  await expect(lockFolder(folder)).rejects.toMatchObject({ pid: child.pid });
  child.kill("SIGKILL");
  await once(child, "close");
  const lock = await lockFolder(folder);
  expect(lock.predecessorDied).toBe(true);
  await lock.release();
  expect(await readdir(folder)).toEqual([]);
});

test("doesn't take a process for the holder that only has its pid now", async () => {
  await writeFile(join(folder, `lock-${process.pid}-0123456789ab-01234567`), "held");
  await (await lockFolder(folder)).release();
  expect(await readdir(folder)).toEqual([]);
});

test("goes to exactly one of many who want it at the same time, with a dead holder's claim in the way", async () => {
  for (let round = 0; round < 20; round++) {
    await writeFile(join(folder, `lock-${process.pid}-0123456789ab-01234567`), "held");
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(folder)));
    const locks = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(locks).toHaveLength(1);
    await locks[0]?.release();
    expect(await readdir(folder)).toEqual([]);
  }
});
