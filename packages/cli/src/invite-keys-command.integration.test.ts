import { parseInviteKeys } from "@tandem/invites";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { runCommandLine } from "./command-line.ts";

let folder: string;
let file: string;
let said: string;

beforeEach(async () => {
  // A key is named after its day, which must not end in the middle of a test.
  vi.useFakeTimers({ toFake: ["Date"], now: new Date("2026-11-21T12:00:00Z") });
  folder = await mkdtemp(join(tmpdir(), "tandem-invite-keys-"));
  file = join(folder, ".tandem", "invite-keys");
  said = "";
});
afterEach(async () => {
  vi.useRealTimers();
  await rm(folder, { recursive: true });
});

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(...args: readonly string[]): Promise<Result> {
  let out = "";
  let err = "";
  const code = await runCommandLine(["invite-keys", ...args, "--file", file], {
    write: (text) => void (out += text),
    writeError: (text) => void (err += text),
  });
  said += out + err;
  return { code, out, err };
}

async function keys(): Promise<{ readonly current: string; readonly live: readonly string[] }> {
  const { current, live } = parseInviteKeys(await readFile(file, "utf8"));
  return { current: current.id, live: live.map(({ id }) => id) };
}

const day = "2026-11-21";

it("makes the file, for its owner alone, with a key that services use at once", async () => {
  const { code, out, err } = await run("add");
  expect([code, out]).toEqual([0, expect.stringContaining(`has a new key, ${day}.\n`)]);
  expect(err).toContain("as TANDEM_INVITE_KEYS_FILE");
  expect(await keys()).toEqual({ current: day, live: [day] });
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

it("replaces a key in three steps, in each of which invites are found, and never shows one", async () => {
  await run("add");
  const [first, second] = [day, `${day}-2`];
  expect((await run("add")).err).toContain(`It is for look-ups until "tandem invite-keys use ${second}"`);
  expect(await keys()).toEqual({ current: first, live: [first, second] });

  expect((await run("use", second)).out).toBe(`New invites are made with ${second}.\n`);
  expect(await keys()).toEqual({ current: second, live: [first, second] });
  expect((await run("list")).out).toMatch(
    new RegExp(`^KEY +USE\n${first} +finds invites\n${second} +makes new invites, and finds them\n$`),
  );
  const text = await readFile(file, "utf8");

  expect((await run("retire", first, "--checked")).code).toBe(0);
  expect(await keys()).toEqual({ current: second, live: [second] });
  const { keys: written } = JSON.parse(text) as { keys: readonly { derive: string; hash: string }[] };
  for (const { derive, hash } of written) {
    expect(said).not.toContain(derive);
    expect(said).not.toContain(hash);
  }
});

it("says what to check before a key is retired, and retires none before", async () => {
  await run("add");
  await run("add");
  const { code, err } = await run("retire", `${day}-2`);
  expect(code).toBe(1);
  for (const table of ["ingress_invites", "assistant_ingress_invites"]) {
    expect(err).toContain(`FROM ${table} WHERE key_id = '${day}-2' AND status = 'active'`);
  }
  expect((await keys()).live).toHaveLength(2);
});

it("never takes the key away that new invites are made with", async () => {
  await run("add");
  const { code, err } = await run("retire", day, "--checked");
  expect([code, err]).toEqual([1, expect.stringContaining("it can't be retired before another key is")]);
  expect((await keys()).live).toHaveLength(1);
});

it("says which keys there are where another one is named, or none can be one", async () => {
  await run("add");
  for (const command of [["use"], ["retire", "--checked"]]) {
    const { code, err } = await run(...command, "2020-01-01");
    expect([code, err]).toEqual([1, expect.stringContaining(`has no key 2020-01-01: it has ${day}.`)]);
  }
  expect((await run("use", "'; --")).code).toBe(2);
});

it("needs a file but for making it, and leaves one that it can't read", async () => {
  for (const command of [["list"], ["use", "one"], ["retire", "one"]]) {
    const { code, err } = await run(...command);
    expect([code, err]).toEqual([1, expect.stringContaining('or make it with "tandem invite-keys add"')]);
  }
  await run("add");
  await writeFile(file, "{}");
  for (const command of [["add"], ["list"], ["use", "one"]]) {
    const { code, err } = await run(...command);
    expect([code, err]).toEqual([1, expect.stringContaining("it has no list of keys. Nothing was changed.")]);
  }
  expect(await readFile(file, "utf8")).toBe("{}");
});

it("adds no more keys than services take, and warns where others can read them", async () => {
  for (let made = 0; made < 16; made += 1) await run("add");
  const { code, err } = await run("add");
  expect([code, err]).toEqual([1, expect.stringContaining("has 16 keys, and services take no more")]);
  await chmod(file, 0o644);
  expect((await run("use", day)).err).toContain("has the mode 0644, so that others can read it");
});
