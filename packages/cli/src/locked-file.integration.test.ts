import { chmod, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { CommandError } from "./command-error.ts";
import { changeFile, describeExposure } from "./locked-file.ts";

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-locked-"));
  file = join(folder, "tokens");
});

afterEach(() => rm(folder, { recursive: true }));

it("loses no change of many at the same time, and leaves nothing behind", async () => {
  const numbers = Array.from({ length: 50 }, (_, index) => `${index}`);
  await Promise.all(numbers.map((number) => changeFile(file, (text) => `${text}${number}\n`)));
  const lines = (await readFile(file, "utf8")).trimEnd().split("\n");
  expect(lines.toSorted()).toEqual(numbers.toSorted());
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readdir(folder)).toEqual(["tokens"]);
});

it("says what to do where a draft was left behind, and changes nothing", async () => {
  await writeFile(file, "before");
  await writeFile(`${file}.lock`, "half of");
  const failure = await changeFile(file, () => "after", 50).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(CommandError);
  expect((failure as Error).message).toContain(`delete ${file}.lock and run this one again`);
  expect((failure as Error).message).toContain("edit the file itself by hand");
  expect(await readFile(file, "utf8")).toBe("before");
  expect(await readFile(`${file}.lock`, "utf8")).toBe("half of");
});

it("leaves the file, and no draft, where there is nothing to change or the change fails", async () => {
  await writeFile(file, "before");
  await changeFile(file, () => undefined);
  await expect(
    changeFile(file, () => {
      throw new CommandError("not this");
    }),
  ).rejects.toThrow("not this");
  expect(await readFile(file, "utf8")).toBe("before");
  expect(await readdir(folder)).toEqual(["tokens"]);
});

it("goes where a link leads, and leaves the mode as it was", async () => {
  const link = join(folder, "link");
  await writeFile(file, "before");
  await symlink(file, link);
  for (const mode of [0o644, 0o600, 0o660]) {
    await chmod(file, mode);
    await changeFile(link, () => "after");
    expect((await stat(file)).mode & 0o777).toBe(mode);
  }
  expect(await readlink(link)).toBe(file);
  expect(await readFile(file, "utf8")).toBe("after");
});

it.each([
  [0o600, undefined],
  [0o640, undefined],
  [0o644, "has the mode 0644, so that others can read it."],
  [0o664, "has the mode 0664, so that others can change it."],
])("says who gets to a file of mode %o beyond owner and group", async (mode, sentence) => {
  await writeFile(file, "");
  await chmod(file, mode);
  const said = await describeExposure(file);
  if (sentence === undefined) expect(said).toBeUndefined();
  else expect(said).toContain(sentence);
});

it.runIf(process.getuid?.() === 0)("keeps the owner, when it is run by root", async () => {
  await writeFile(file, "before");
  const { chown } = await import("node:fs/promises");
  await chown(file, 12_345, 12_346);
  await changeFile(file, () => "after");
  const { uid, gid } = await stat(file);
  expect([uid, gid]).toEqual([12_345, 12_346]);
});

it("fails with a sentence where there can be no file", async () => {
  await writeFile(file, "");
  await expect(changeFile(join(file, "below"), () => "")).rejects.toThrow(
    new RegExp(`^${file}/below can't be changed: ENOTDIR`),
  );
});
