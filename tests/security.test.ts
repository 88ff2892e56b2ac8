import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IngressInvites } from "@tandem/contract/tandem/assistant/v1/ingress_invites";
import { createDbProxy, sql } from "@tandem/dbproxy";
import { type ChannelIdentityOptions, createChannel, createClient } from "@tandem/rpc";
import { createDevelopmentAuthority } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createIdentities, type Identities } from "./identities.ts";
import { createPair, type Pair, type Service } from "./pair.ts";

let pair: Pair;
let identities: Identities;
let folder: string;
beforeAll(async () => {
  pair = await createPair();
  identities = await createIdentities();
  folder = await mkdtemp(join(tmpdir(), "tandem-policies-"));
});
afterAll(async () => {
  await pair[Symbol.asyncDispose]();
  await identities[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function policyFile(text: string): Promise<string> {
  const file = join(folder, "policy.yaml");
  await writeFile(file, text);
  return file;
}

async function lastWords(service: Service): Promise<string> {
  expect((await service.process.waitForExit({ timeoutMs: 10_000 })).code).toBe(1);
  return String(service.log().at(-1)?.["msg"]);
}

describe("the pair with certificates", () => {
  it("meets over mTLS, and each side knows the other", async () => {
    const assistant = await pair.startAssistant(await identities.environment("assistant"));
    const address = await assistant.dbProxyAddress();
    const gateway = await pair.startGateway({
      ...(await identities.environment("gateway")),
      TANDEM_ASSISTANT_ADDRESS: address,
    });
    await gateway.process.waitForLine('"msg":"serving"');

    const other = await createDevelopmentAuthority();
    const impostor = await identities.issue("impostor");
    const called = async (as: ChannelIdentityOptions): Promise<unknown> => {
      const db = createDbProxy({ address, ...as, timeoutMs: 2_000, retryLimits: { maxRetries: 0 } });
      return db
        .query(sql`SELECT 1 AS one`)
        .catch((error: unknown) => error)
        .finally(() => db.close());
    };
    expect(await called({ tls: await identities.issue("gateway") })).toMatchObject({ rows: [{ one: 1n }] });
    expect(await called({ tls: await identities.issue("gateway", { by: other }) })).toMatchObject({
      reason: "UNAUTHENTICATED",
      outcome: "NOT_COMMITTED",
    });
    expect(await called({ tls: impostor })).toMatchObject({ reason: "METHOD_NOT_ALLOWED" });
    expect(await called({})).toMatchObject({ name: "TransportError" });
    // A caller makes sure of the assistant just the same.
    const peer = await called({ tls: { ...(await identities.issue("gateway")), peer: "another" } });
    expect(peer).toMatchObject({ sent: "no", message: expect.stringContaining("is not another's") });
    for (const service of [gateway, assistant]) {
      service.process.kill("SIGTERM");
      expect(await service.process.waitForExit()).toEqual({ code: 0, signal: null });
    }
  });

  it("is not had by half", async () => {
    const environment = await identities.environment("assistant");
    const assistant = await pair.startAssistant({ ...environment, TANDEM_TLS_KEY_FILE: "" });
    expect(await lastWords(assistant)).toContain("TANDEM_TLS_KEY_FILE is not set");
  });

  it("says which file can't be used", async () => {
    const environment = await identities.environment("assistant");
    const assistant = await pair.startAssistant({ ...environment, TANDEM_TLS_KEY_FILE: "/nowhere/key" });
    expect(await lastWords(assistant)).toContain("/nowhere/key");
  });

  it("says that a key isn't the certificate's", async () => {
    const environment = await identities.environment("assistant");
    const { keyFile } = await identities.issue("gateway");
    const assistant = await pair.startAssistant({ ...environment, TANDEM_TLS_KEY_FILE: keyFile });
    expect(await lastWords(assistant)).toContain("the certificate and the key don't belong together");
  });
});

describe("plaintext", () => {
  it("is had by whoever asks for it alone", async () => {
    const assistant = await pair.startAssistant({ TANDEM_ALLOW_PLAINTEXT: "", TANDEM_PLAINTEXT_CALLER: "" });
    expect(await lastWords(assistant)).toContain(
      "or, on this machine alone, set TANDEM_ALLOW_PLAINTEXT=true",
    );
  });

  it.each(["TANDEM_LISTEN", "TANDEM_DBPROXY_LISTEN"])(
    "is not had where others could read along: %s",
    async (variable) => {
      const assistant = await pair.startAssistant({ [variable]: "0.0.0.0:0" });
      expect(await lastWords(assistant)).toContain("0.0.0.0:0 can be reached from other machines");
    },
  );

  it("is not had on the way to another machine", async () => {
    const gateway = await pair.startGateway({ TANDEM_ASSISTANT_ADDRESS: "assistant.example:7403" });
    expect(await lastWords(gateway)).toContain("TANDEM_ASSISTANT_ADDRESS is not on this machine");
  });
});

describe("the policy file", () => {
  it.each([
    ["it isn't there", async () => "/nowhere/policy.yaml", "/nowhere/policy.yaml can't be used as a policy"],
    [
      "it has a key that isn't known",
      () => policyFile("version: 1\ncallers:\n  gateway:\n    tabels: {}\n"),
      "line 4: callers.gateway.tabels is not known here",
    ],
    [
      "it names a column that the database doesn't have",
      () => policyFile("version: 1\ncallers:\n  gateway:\n    tables:\n      contacts: { select: [nmae] }\n"),
      "line 5: callers.gateway.tables.contacts.select[0] (nmae) is no column of the table: it has id, display_name",
    ],
  ])("ends the start with its line and key where %s", async (_, file, sentence) => {
    const assistant = await pair.startAssistant({ TANDEM_POLICY_FILE: await file() });
    expect(await lastWords(assistant)).toContain(sentence);
  });

  it("lets nobody send SQL where there is none", async () => {
    const assistant = await pair.startAssistant({ TANDEM_POLICY_FILE: "" });
    await assistant.serving();
    const db = createDbProxy({ address: await assistant.dbProxyAddress() });
    await expect(db.transaction([sql`SELECT 1`])).rejects.toMatchObject({
      reason: "STATEMENT_NOT_ALLOWED",
      message: expect.stringContaining("registered statements by their names"),
      outcome: "NOT_COMMITTED",
    });
    db.close();
    const refusal = assistant.log().find(({ reason }) => reason === "STATEMENT_NOT_ALLOWED");
    expect(refusal).toMatchObject({ caller: "gateway", peer: expect.any(String), step: 0 });
  });
});

describe("a peer that the policy lets read", () => {
  const policy =
    "version: 1\ncallers:\n  reports:\n    sql: true\n    tables: { contacts: { select: [id] } }\n";
  const refused = { reason: "METHOD_NOT_ALLOWED" };

  /** What becomes of the peer's calls. */
  async function asPeer(settings: Readonly<Record<string, string>>) {
    const TANDEM_POLICY_FILE = await policyFile(policy);
    const assistant = await pair.startAssistant({
      ...(await identities.environment("assistant")),
      ...settings,
      TANDEM_POLICY_FILE,
    });
    await assistant.process.waitForLine('"msg":"serving"');
    const as = { address: await assistant.dbProxyAddress(), tls: await identities.issue("reports") };
    const db = createDbProxy(as);
    const channel = createChannel(as);
    const ingress = createClient(IngressInvites, channel);
    const calls = [
      db.query(sql`SELECT id FROM contacts`),
      ingress.createIngressInvite({}),
      ingress.digestInvites({}),
    ];
    const answers = await Promise.all(calls.map((call) => call.catch((error: unknown) => error)));
    channel.close();
    db.close();
    return answers;
  }

  it("neither creates invites nor compares them", async () => {
    const [read, ...ingress] = await asPeer({});
    expect(read).toMatchObject({ rows: [] });
    expect(ingress).toMatchObject([refused, refused]);
  });

  it("does where it is among those who may", async () => {
    const [, created, digest] = await asPeer({ TANDEM_INGRESS_CALLERS: "gateway,reports" });
    expect(created).toMatchObject({ reason: "INVALID_REQUEST" });
    expect(digest).toMatchObject({ digests: [] });
  });
});

it("DbProxy is not served where everybody may come", async () => {
  const assistant = await pair.startAssistant();
  await assistant.serving();
  const db = createDbProxy({ address: await assistant.address(), retryLimits: { maxRetries: 0 } });
  await expect(db.probe()).rejects.toThrow("UNIMPLEMENTED");
  db.close();
});
