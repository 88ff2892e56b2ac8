import { createLogger, CredentialsFileError, type Logger } from "@tandem/rpc";
import { replaceFile } from "@tandem/testkit";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { WrittenKey } from "./keys.ts";
import { writtenKey } from "./testing/test-keys.ts";
import { watchInviteKeys } from "./watch-keys.ts";

const one = writtenKey("one");
const two = writtenKey("two");
const text = (...keys: readonly WrittenKey[]): string => JSON.stringify({ current: keys[0]?.id, keys });

let folder: string;
let file: string;
let log: string;
let logger: Logger;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-invite-keys-"));
  file = join(folder, "invite-keys");
  log = "";
  logger = createLogger({ service: "test", destination: { write: (line) => void (log += line) } });
});
afterEach(() => rm(folder, { recursive: true }));

it("gives the keys that the file has by now, and logs which without what they are", async () => {
  await writeFile(file, text(one));
  using keys = watchInviteKeys({ file, logger, pollMs: 5 });
  expect(keys.current.current.id).toBe("one");
  await replaceFile(file, text(two, one));
  await expect.poll(() => keys.current.current.id).toBe("two");
  expect(keys.current.live.map(({ id }) => id)).toEqual(["two", "one"]);
  expect(JSON.parse(log)).toMatchObject({
    msg: "the keys of invites were read again",
    current: "two",
    live: ["two", "one"],
  });
  for (const secret of [one.derive, one.hash, two.derive, two.hash]) expect(log).not.toContain(secret);
});

it("keeps the keys that it has where the file can't be used any more, and says so without what is in it", async () => {
  await writeFile(file, text(one));
  using keys = watchInviteKeys({ file, logger, pollMs: 5 });
  await replaceFile(file, text({ ...two, hash: two.derive }, one));
  await expect.poll(() => log).toContain("those before stay in use");
  expect(log).toContain('hash of the key \\"two\\"');
  expect(log).not.toContain(two.derive);
  expect(keys.current.live.map(({ id }) => id)).toEqual(["one"]);
});

it("does not begin without keys, and says which file is meant", async () => {
  expect(() => watchInviteKeys({ file, logger })).toThrow(CredentialsFileError);
  await writeFile(file, text({ ...one, hash: "c2hvcnQ" }));
  expect(() => watchInviteKeys({ file, logger })).toThrow(
    `${file} can't be used: hash of the key "one" has 5 bytes, and must have from 32 to 128.`,
  );
});
