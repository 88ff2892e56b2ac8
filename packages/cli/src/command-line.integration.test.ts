import { createProcesses, type SpawnedProcess } from "@tandem/testkit";
import { hashToken } from "@tandem/rpc";
import { chmod, mkdtemp, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runCommandLine } from "./command-line.ts";

const PROGRAM = join(import.meta.dirname, "main.ts");
const CREATORS = 6;

const processes = createProcesses();
let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-cli-"));
  file = join(folder, "tokens");
});

afterEach(async () => {
  await processes.end();
  await rm(folder, { recursive: true });
});

interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** In a process of its own, as a person runs it who stands in the folder. */
async function runProgram(...args: readonly string[]): Promise<Result> {
  const spawned: SpawnedProcess = await processes.spawn({
    args: [PROGRAM, ...args],
    cwd: folder,
    env: { INIT_CWD: undefined },
  });
  const { code } = await spawned.waitForExit({ timeoutMs: 30_000 });
  return { code, out: spawned.lines("stdout").join("\n"), err: spawned.lines("stderr").join("\n") };
}

async function run(...args: readonly string[]): Promise<Result> {
  let out = "";
  let err = "";
  const code = await runCommandLine(args, {
    write: (text) => void (out += text),
    writeError: (text) => void (err += text),
  });
  return { code, out, err };
}

describe("tandem certificates", () => {
  it("makes what is missing, says so, and gives each service its variables", async () => {
    const { code, out, err } = await runProgram("certificates", "gateway", "assistant", "--days", "90");
    const until = new Date(Date.now() + 90 * 24 * 3_600_000).toISOString().slice(0, 10);
    const where = join(folder, ".tandem", "certificates");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/^authority +made, valid until \d{4}-\d\d-\d\d +\.tandem\/certificates\/authority$/m);
    expect(out).toContain(`gateway    made, valid until ${until}  .tandem/certificates/gateway`);
    expect(out).toContain(
      [
        "# The environment of assistant",
        `TANDEM_TLS_AUTHORITY_FILE=${where}/authority/certificate.pem`,
        `TANDEM_TLS_CERTIFICATE_FILE=${where}/assistant/certificate.pem`,
        `TANDEM_TLS_KEY_FILE=${where}/assistant/key.pem`,
      ].join("\n"),
    );
    expect((await stat(join(where, "assistant", "key.pem"))).mode & 0o777).toBe(0o600);
  });

  it("says what it left alone and what it did over again", async () => {
    const where = join(folder, "c");
    await run("certificates", "gateway", "assistant", "--folder", where);
    const second = await run(
      "certificates",
      "gateway",
      "assistant",
      "--folder",
      where,
      "--host",
      "g.internal",
    );
    expect(second.out).toMatch(/^authority +left alone/m);
    expect(second.out).toMatch(/^gateway +made anew, it lacked a host/m);
    const third = await run("certificates", "gateway", "console", "--folder", where);
    expect(third.out).toMatch(/^gateway +left alone/m);
    expect(third.out).toMatch(/^console +made,/m);
    const fourth = await run("certificates", "gateway", "--renew", "--folder", where);
    expect(fourth.out).toMatch(/^authority +left alone/m);
    expect(fourth.out).toMatch(/^gateway +renewed,/m);
  });

  it("leaves an authority that it can't use, and says what to do", async () => {
    await mkdir(join(folder, "authority"));
    await writeFile(join(folder, "authority", "key.pem"), "something");
    const { code, out, err } = await run("certificates", "gateway", "--folder", folder);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(
      /^tandem: The authority in .* can't be used \(ENOENT.*\): mend it, or delete .*\.\n$/,
    );
    expect(await readFile(join(folder, "authority", "key.pem"), "utf8")).toBe("something");
  });
});

describe("tandem token", () => {
  it("writes the token alone to standard output, and its hash to the file", async () => {
    const { code, out, err } = await runProgram("token", "create", "gateway", "--days", "90");
    expect(code).toBe(0);
    expect(out).toMatch(/^[\w-]{43}$/);
    expect(err).toContain("gateway has a new token, good until 20");
    expect(err).not.toContain(out);
    const tokens = join(folder, ".tandem", "tokens");
    const line = JSON.parse(await readFile(tokens, "utf8")) as { readonly expires: string };
    expect(line).toMatchObject({ name: "gateway", sha256: hashToken(out) });
    expect(Math.round((Date.parse(line.expires) - Date.now()) / 3_600_000)).toBe(90 * 24);
    expect((await stat(tokens)).mode & 0o777).toBe(0o600);
  });

  it("loses no line of many that run at the same time", { timeout: 60_000 }, async () => {
    const made = Array.from({ length: CREATORS }, (_, index) =>
      runProgram("token", "create", `caller-${index}`, "--file", file),
    );
    const results = await Promise.all(made);
    expect(results.map(({ code }) => code)).toEqual(results.map(() => 0));
    const lines = (await readFile(file, "utf8")).trimEnd().split("\n");
    const hashes = lines.map((line) => (JSON.parse(line) as { readonly sha256: string }).sha256);
    expect(hashes.toSorted()).toEqual(results.map(({ out }) => hashToken(out)).toSorted());
  });

  it("lists whose tokens there are, and which are over, without anything that could be used", async () => {
    const { out: token } = await run("token", "create", "gateway", "--file", file);
    await writeFile(
      file,
      `${await readFile(file, "utf8")}{"name":"old","sha256":"${"0".repeat(64)}","expires":"2020-01-01T00:00:00Z"}\nnot JSON\n`,
    );
    const { code, out, err } = await run("token", "list", "--file", file);
    expect([code, out]).toEqual([
      0,
      [
        "NAME     HASH          UNTIL",
        `gateway  ${hashToken(token.trim()).slice(0, 12)}  no end`,
        "old      000000000000  2020-01-01T00:00:00Z (over)",
        "",
      ].join("\n"),
    ]);
    expect(err).toBe(`tandem: line 3 of ${file} can't be used by any server: it is not a JSON object.\n`);
  });

  it("revokes all tokens of a caller, or one by the beginning of its hash", async () => {
    const tokens: string[] = [];
    for (const name of ["gateway", "gateway", "cli", "cli"]) {
      tokens.push((await run("token", "create", name, "--file", file)).out.trim());
    }
    const [, , third = "", fourth = ""] = tokens.map(hashToken);
    const byName = await run("token", "revoke", "gateway", "--file", file);
    expect([byName.code, byName.out.slice(0, 26)]).toEqual([0, "Revoked 2 tokens: gateway "]);
    const byHash = await run("token", "revoke", third.slice(0, 12), "--file", file);
    expect([byHash.code, byHash.out]).toEqual([0, `Revoked 1 token: cli ${third.slice(0, 12)}.\n`]);
    expect(await readFile(file, "utf8")).toBe(`{"name":"cli","sha256":"${fourth}"}\n`);
    const again = await run("token", "revoke", "gateway", "--file", file);
    expect(again).toEqual({
      code: 1,
      out: "",
      err: `tandem: ${file} has no token of a caller gateway: nothing was revoked.\n`,
    });
  });

  it("leaves a file that others may read as it is, and says so", async () => {
    await writeFile(file, "");
    await chmod(file, 0o644);
    for (const args of [
      ["create", "gateway"],
      ["revoke", "gateway"],
    ]) {
      const { code, err } = await run("token", ...args, "--file", file);
      expect([code, err]).toEqual([0, expect.stringContaining(`run "chmod 640 ${file}".\n`)]);
      expect((await stat(file)).mode & 0o777).toBe(0o644);
    }
  });

  it("revokes none of several whose hashes begin alike", async () => {
    const lines = ["a", "b"].map((end) => `{"name":"gateway","sha256":"${"0".repeat(63)}${end}"}\n`).join("");
    await writeFile(file, lines);
    const { code, err } = await run("token", "revoke", "00000000", "--file", file);
    expect([code, err]).toEqual([
      1,
      "tandem: 00000000 is the beginning of several hashes: give more of its digits.\n",
    ]);
    expect(await readFile(file, "utf8")).toBe(lines);
  });

  it("adds no line that no server would take", async () => {
    const lines = Array.from(
      { length: 10_000 },
      (_, index) => `{"name":"a","sha256":"${String(index).padStart(64, "0")}"}\n`,
    ).join("");
    await writeFile(file, lines);
    const { code, out, err } = await run("token", "create", "gateway", "--file", file);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(/can't take another token: there are more than \d+ tokens\.\n$/);
    expect(await readFile(file, "utf8")).toBe(lines);
  });
});

describe("a command that isn't asked properly", () => {
  it.each([
    [[], "Usage: tandem"],
    [["certficates"], "Did you mean certificates?"],
    [["certificates"], "missing required argument 'NAME'"],
    [["certificates", "Gateway"], "up to 63 lower-case letters"],
    [["certificates", "authority"], "choose another"],
    [["certificates", "a", "--host", "a b"], "neither a host's name nor an IP address"],
    [["certificates", "a", "--days", "0"], "a whole number from 1 to 3650"],
    [["token"], "Usage: tandem token"],
    [["token", "create"], "missing required argument 'NAME'"],
    [["token", "create", "a b"], "A caller's name has"],
    [["token", "create", "a", "b"], "too many arguments"],
    [["token", "create", "a", "--expires", "2020-01-01T00:00:00Z"], "still to come"],
    [["token", "create", "a", "--expires", "2999-01-01T00:00:00Z", "--days", "1"], "cannot be used with"],
    [["token", "revoke"], "missing required argument"],
  ])("%j: writes why, and ends with 2", async (args, why) => {
    const { code, out, err } = await run(...args);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(why);
    expect(err).not.toContain("    at ");
  });
});

describe("a command that can't", () => {
  it("ends with 1 and one sentence", async () => {
    await writeFile(join(folder, "a-file"), "");
    const below = join(folder, "a-file", "tokens");
    const failing = [
      ["certificates", "gateway", "--folder", below],
      ["token", "create", "gateway", "--file", below],
      ["token", "create", "gateway", "--file", join(folder, "not", "there", "tokens")],
      ["token", "list", "--file", file],
      ["token", "list", "--file", folder],
      ["token", "revoke", "gateway", "--file", file],
    ];
    for (const args of failing) {
      const { code, out, err } = await run(...args);
      expect([code, out], args.join(" ")).toEqual([1, ""]);
      expect(err, args.join(" ")).toMatch(/^tandem: [^\n]+\.\n$/);
    }
  });
});
