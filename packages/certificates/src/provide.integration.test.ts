import { X509Certificate } from "node:crypto";
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAuthority, issueCertificate, namesFor } from "./authority.ts";
import { CertificatesError } from "./certificates-error.ts";
import { readPair } from "./pem-pair.ts";
import { provideCertificates } from "./provide.ts";
import { replaceFile } from "./replace-file.ts";

const DAY_MS = 24 * 3_600_000;

let parent: string;
let folder: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "tandem-certificates-"));
  folder = join(parent, "a", "b");
});

afterEach(() => rm(parent, { recursive: true }));

it("makes an authority and certificates once, with keys for their owner alone", async () => {
  const first = await provideCertificates({ folder, names: ["gateway", "assistant"] });
  expect(first.authorityMade).toBe(true);
  expect(first.of.gateway.issued).toBe("missing");
  const authority = new X509Certificate(await readFile(first.authorityFile));
  for (const name of ["gateway", "assistant"] as const) {
    const certificate = await readFrom(first.of[name]);
    expect(certificate.checkIssued(authority) && certificate.verify(authority.publicKey)).toBe(true);
    expect(certificate.subjectAltName).toContain(`URI:tandem://${name}, DNS:localhost, DNS:${name}, `);
    expect(certificate.validToDate.getTime()).toBeGreaterThan(Date.now() + 364 * DAY_MS);
  }
  expect(await modes(folder)).toEqual({
    "": "700",
    authority: "700",
    "authority/certificate.pem": "644",
    "authority/key.pem": "600",
    assistant: "700",
    "assistant/certificate.pem": "644",
    "assistant/key.pem": "600",
    gateway: "700",
    "gateway/certificate.pem": "644",
    "gateway/key.pem": "600",
  });

  const before = await contents(folder);
  const second = await provideCertificates({ folder, names: ["gateway", "assistant"] });
  expect(await contents(folder)).toEqual(before);
  expect(second).toEqual({
    ...first,
    authorityMade: false,
    of: {
      gateway: { ...first.of.gateway, issued: undefined },
      assistant: { ...first.of.assistant, issued: undefined },
    },
  });
});

it("issues to a name that is new, and leaves the others alone", async () => {
  await provideCertificates({ folder, names: ["gateway"] });
  const before = await contents(folder);
  const { authorityMade, of } = await provideCertificates({ folder, names: ["gateway", "assistant"] });
  expect([authorityMade, of.gateway.issued, of.assistant.issued]).toEqual([false, undefined, "missing"]);
  expect(await contents(folder)).toMatchObject(before);
});

describe("a certificate", () => {
  it.each([
    [29, "ends soon"],
    [31, undefined],
  ])("that ends in %i days is renewed: %s", async (days, expected) => {
    const { authorityFile, of } = await provideCertificates({ folder, names: ["gateway"] });
    await issueInstead(authorityFile, of.gateway, { days });
    expect((await provideCertificates({ folder, names: ["gateway"] })).of.gateway.issued).toBe(expected);
    expect((await provideCertificates({ folder, names: ["gateway"] })).of.gateway.issued).toBe(undefined);
  });

  it("that was asked for with a short life is left alone at first", async () => {
    const options = { folder, names: ["gateway"], days: 3 } as const;
    const { validUntil } = (await provideCertificates(options)).of.gateway;
    expect(Math.round((validUntil.getTime() - Date.now()) / DAY_MS)).toBe(3);
    expect((await provideCertificates(options)).of.gateway.issued).toBe(undefined);
  });

  it("of an authority that was deleted is issued anew, for the same hosts", async () => {
    const hosts = ["gateway.internal", "10.0.0.7"];
    await provideCertificates({ folder, names: ["gateway"], hosts });
    await rm(join(folder, "authority"), { recursive: true });
    const { authorityFile, authorityMade, of } = await provideCertificates({ folder, names: ["gateway"] });
    expect([authorityMade, of.gateway.issued]).toEqual([true, "of another authority"]);
    const certificate = await readFrom(of.gateway);
    expect(certificate.verify(new X509Certificate(await readFile(authorityFile)).publicKey)).toBe(true);
    expect(certificate.checkHost("gateway.internal")).toBe("gateway.internal");
    expect(certificate.checkIP("10.0.0.7")).toBe("10.0.0.7");
  });

  it("is issued anew for a host that it lacks, and keeps those that it has", async () => {
    await provideCertificates({ folder, names: ["gateway"], hosts: ["one.internal"] });
    const { of } = await provideCertificates({ folder, names: ["gateway"], hosts: ["two.internal"] });
    expect(of.gateway.issued).toBe("lacks a host");
    const certificate = await readFrom(of.gateway);
    expect(certificate.subjectAltName).toBe(
      "URI:tandem://gateway, DNS:localhost, DNS:gateway, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, " +
        "DNS:one.internal, DNS:two.internal",
    );
    const again = await provideCertificates({ folder, names: ["gateway"], hosts: ["One.Internal", "::1"] });
    expect(again.of.gateway.issued).toBe(undefined);
  });

  it("is issued anew where that is asked for", async () => {
    await provideCertificates({ folder, names: ["gateway"] });
    const before = await contents(folder);
    const { authorityMade, of } = await provideCertificates({ folder, names: ["gateway"], renew: true });
    expect([authorityMade, of.gateway.issued]).toEqual([false, "renewed"]);
    expect(await contents(folder)).not.toEqual(before);
  });

  it("is replaced where nobody could use it", async () => {
    const { of } = await provideCertificates({ folder, names: ["gateway", "assistant"] });
    const spoil: Readonly<Record<string, () => Promise<void>>> = {
      "half a file": () => writeFile(of.gateway.certificateFile, "-----BEGIN CERTIFICATE-----\n"),
      "the key of another": async () =>
        writeFile(of.gateway.keyFile, await readFile(of.assistant.keyFile, "utf8")),
      "another's name": async () => {
        await writeFile(of.gateway.keyFile, await readFile(of.assistant.keyFile, "utf8"));
        await writeFile(of.gateway.certificateFile, await readFile(of.assistant.certificateFile, "utf8"));
      },
    };
    for (const [what, spoilIt] of Object.entries(spoil)) {
      await spoilIt();
      const { issued } = (await provideCertificates({ folder, names: ["gateway"] })).of.gateway;
      expect(issued, what).toBe("unusable");
      expect((await readFrom(of.gateway)).subjectAltName, what).toContain("tandem://gateway");
    }
    await rm(of.gateway.keyFile);
    expect((await provideCertificates({ folder, names: ["gateway"] })).of.gateway.issued).toBe("missing");
  });

  it.each([20, 0.25])("never outlives an authority of %d days, and is left alone", async (days) => {
    const short = await shortLivedAuthority(days);
    const { of, authorityValidUntil } = await provideCertificates({ folder, names: ["gateway"] });
    expect(authorityValidUntil).toEqual(short);
    expect(of.gateway.validUntil).toEqual(short);
    expect((await provideCertificates({ folder, names: ["gateway"] })).of.gateway.issued).toBe(undefined);
  });
});

describe("where somebody else decides who the authority is", () => {
  const provide = (): Promise<unknown> => provideCertificates({ folder, names: ["gateway"] });
  const places = [".", "authority", "authority/key.pem", "authority/certificate.pem"];

  it.each(places)("nothing is issued: others may write to %s", async (place) => {
    await provide();
    const before = await contents(folder);
    const path = join(folder, place);
    await chmod(path, (await stat(path)).mode | 0o020);
    await expect(provide()).rejects.toThrow(`${path} can be written by other users`);
    await expect(provide()).rejects.toThrow(CertificatesError);
    expect(await contents(folder)).toEqual(before);
    await chmod(path, (await stat(path)).mode & ~0o022);
    await provide();
  });

  it("no authority is made in a folder that others may write to", async () => {
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o777);
    await expect(provide()).rejects.toThrow("take another folder");
    expect(await readdir(folder)).toEqual([]);
  });

  it.runIf(process.geteuid?.() === 0).each(places)(
    "nothing is issued: another user owns %s",
    async (place) => {
      await provide();
      const path = join(folder, place);
      await chown(path, 12_345, 0);
      await expect(provide()).rejects.toThrow(`${path} belongs to another user (12345)`);
    },
  );
});

describe("an authority that can't be used", () => {
  const spoils: readonly (readonly [string, string, () => Promise<void>])[] = [
    ["without a key", "ENOENT", () => rm(authorityPath("key.pem"))],
    ["without a certificate", "ENOENT", () => rm(authorityPath("certificate.pem"))],
    ["with an empty certificate", "PEM", () => writeFile(authorityPath("certificate.pem"), "")],
    ["with the key of another", "its key belongs to another certificate", putAnotherKey],
    ["that has expired", "it has expired", async () => void (await shortLivedAuthority(-1))],
    ["that is none", "its certificate is not an authority's", putALeaf],
  ];

  it.each(spoils)("%s is left as it is, and fails with a sentence", async (_, reason, spoil) => {
    await provideCertificates({ folder, names: ["gateway"] });
    await spoil();
    const before = await contents(folder);
    const failure = await provideCertificates({ folder, names: ["gateway", "assistant"] }).catch(
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(CertificatesError);
    expect((failure as Error).message).toContain(reason);
    expect((failure as Error).message).toContain(`${folder}/authority can't be used`);
    expect(await contents(folder)).toEqual(before);
  });

  async function putAnotherKey(): Promise<void> {
    await writeFile(authorityPath("key.pem"), (await createAuthority()).key);
  }

  async function putALeaf(): Promise<void> {
    for (const file of ["key.pem", "certificate.pem"]) {
      await writeFile(authorityPath(file), await readFile(join(folder, "gateway", file), "utf8"));
    }
  }
});

it("fails with a sentence where there can't be a folder", async () => {
  await writeFile(join(parent, "a"), "a file");
  for (const impossible of [folder, "/proc/tandem/certificates"]) {
    await expect(provideCertificates({ folder: impossible, names: ["gateway"] })).rejects.toThrow(
      new RegExp(`^${impossible} can't hold certificates: E`),
    );
  }
});

it("refuses a name that leads out of the folder, before it makes anything", async () => {
  await expect(provideCertificates({ folder, names: ["../gateway"] })).rejects.toThrow(CertificatesError);
  expect(await readdir(parent)).toEqual([]);
});

it("gives all who call at the same time one authority, and whole pairs", async () => {
  for (let round = 0; round < 5; round += 1) {
    const shared = join(parent, `round-${round}`);
    const calls = Array.from({ length: 4 }, () =>
      provideCertificates({ folder: shared, names: ["gateway", "assistant"] }),
    );
    const results = await Promise.all(calls);
    expect(results.filter(({ authorityMade }) => authorityMade)).toHaveLength(1);
    const after = await provideCertificates({ folder: shared, names: ["gateway", "assistant"] });
    expect([after.of.gateway.issued, after.of.assistant.issued]).toEqual([undefined, undefined]);
    expect((await readdir(shared)).toSorted()).toEqual(["assistant", "authority", "gateway"]);
    expect((await readdir(join(shared, "gateway"))).toSorted()).toEqual(["certificate.pem", "key.pem"]);
  }
});

it("shows who reads a file while it is replaced the old text or the new one", async () => {
  const file = join(parent, "file");
  const texts = ["a", "b"].map((letter) => letter.repeat(3_000_000));
  await replaceFile(file, texts[0]!);
  await chmod(file, 0o644);
  const written = new AbortController();
  const writing = (async () => {
    for (let turn = 1; turn <= 20; turn += 1) await replaceFile(file, texts[turn % 2]!);
    written.abort();
  })();
  while (!written.signal.aborted) expect(texts).toContain(await readFile(file, "utf8"));
  await writing;
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readdir(parent)).toEqual(["file"]);
});

function authorityPath(file: string): string {
  return join(folder, "authority", file);
}

interface Files {
  readonly certificateFile: string;
  readonly keyFile: string;
}

async function readFrom({ certificateFile, keyFile }: Files): Promise<X509Certificate> {
  return readPair({
    certificate: await readFile(certificateFile, "utf8"),
    key: await readFile(keyFile, "utf8"),
  });
}

/** Puts a certificate of the same authority with another life in the place of the one that is there. */
async function issueInstead(
  authorityFile: string,
  files: Files,
  { days }: { readonly days: number },
): Promise<void> {
  const authority = {
    certificate: await readFile(authorityFile, "utf8"),
    key: await readFile(authorityPath("key.pem"), "utf8"),
  };
  const validFrom = new Date(Date.now() - 300 * DAY_MS);
  const validUntil = new Date(Date.now() + days * DAY_MS);
  const issued = await issueCertificate(authority, {
    subject: "gateway",
    names: namesFor("gateway"),
    validFrom,
    validUntil,
  });
  await writeFile(files.certificateFile, issued.certificate);
  await writeFile(files.keyFile, issued.key);
}

/** Puts an authority that ends in so many days into the folder, and says when. */
async function shortLivedAuthority(days: number): Promise<Date> {
  const authority = await createAuthority({ validUntil: new Date(Date.now() + days * DAY_MS) });
  await mkdir(join(folder, "authority"), { recursive: true });
  await writeFile(authorityPath("certificate.pem"), authority.certificate);
  await writeFile(authorityPath("key.pem"), authority.key);
  return new X509Certificate(authority.certificate).validToDate;
}

async function modes(root: string): Promise<Record<string, string>> {
  const paths = ["", ...(await readdir(root, { recursive: true }))];
  const found = paths.map(async (path) => [path, ((await stat(join(root, path))).mode & 0o777).toString(8)]);
  return Object.fromEntries(await Promise.all(found)) as Record<string, string>;
}

async function contents(root: string): Promise<Record<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const read = files.toSorted().map(async (file) => [file, await readFile(file, "utf8")]);
  return Object.fromEntries(await Promise.all(read)) as Record<string, string>;
}
