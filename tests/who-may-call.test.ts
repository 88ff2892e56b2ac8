import { randomBytes } from "node:crypto";
import { glob } from "node:fs/promises";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { ErrorInfoSchema } from "@tandem/contract/google/rpc/error_details";
import type { Status } from "@tandem/contract/google/rpc/status";
import { Health } from "@tandem/contract/health/v1/health";
import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { IngressInvites } from "@tandem/contract/tandem/assistant/v1/ingress_invites";
import { Contacts } from "@tandem/contract/tandem/gateway/v1/contacts";
import { Cutover } from "@tandem/contract/tandem/gateway/v1/cutover";
import { InviteMirror } from "@tandem/contract/tandem/gateway/v1/invite_mirror";
import { Invites } from "@tandem/contract/tandem/gateway/v1/invites";
import {
  type Channel,
  type ChannelIdentityOptions,
  createChannel,
  createClient,
  hashToken,
  StatusCode,
} from "@tandem/rpc";
import { createDevelopmentAuthority, replaceFile, waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createIdentities, type Identities } from "./identities.ts";
import { createPair, type Pair } from "./pair.ts";

// Both services as they are run, every method of the contract, and every way to be, or not to be, the right caller.

/** Every service that there is: one that is added to the contract is in the table by that. */
const services = await readServices();
const methods = services.flatMap((service) => service.methods);

/** Who may call what, where it listens. What isn't here is served there to nobody. */
const served: Readonly<
  Record<Listener, readonly (readonly [DescService, Readonly<Record<string, Rule>>])[]>
> = {
  assistant: [[Health, { check: "anyone" }]],
  "the assistant's DbProxy": [
    [Health, { check: "anyone", list: "gateway", watch: "gateway" }],
    [
      DbProxy,
      {
        transaction: "gateway",
        transactionStream: "gateway",
        query: "gateway",
        getReceipt: "gateway",
        probe: "gateway",
      },
    ],
    [IngressInvites, { createIngressInvite: "gateway", digestInvites: "gateway" }],
  ],
  gateway: [
    [Health, { check: "anyone" }],
    [
      Contacts,
      {
        upsertContact: "gateway",
        getContact: "gateway",
        listContacts: "gateway",
        deleteContact: "gateway",
        updateContactChannel: "gateway",
        touchContactChannel: "gateway",
      },
    ],
    [
      Invites,
      {
        createInvite: "gateway",
        getInvite: "gateway",
        listInvites: "gateway",
        revokeInvite: "gateway",
        redeemInvite: "gateway",
      },
    ],
    [
      InviteMirror,
      { mirrorInviteCreate: "gateway", mirrorInviteCreateStream: "gateway", mirrorContact: "gateway" },
    ],
    [Cutover, { getAuthority: "gateway", setAuthority: "gateway", verifyMirror: "gateway" }],
  ],
};
type Listener = "assistant" | "the assistant's DbProxy" | "gateway";
type Rule = "anyone" | "gateway";
const listeners = ["assistant", "the assistant's DbProxy", "gateway"] as const;

const tokens = { gateway: newToken(), other: newToken(), revoked: newToken(), expired: newToken() };

let pair: Pair;
let identities: Identities;
let addresses: Readonly<Record<Listener, string>>;
let callers: Readonly<Record<string, ChannelIdentityOptions>>;

beforeAll(async () => {
  pair = await createPair();
  identities = await createIdentities();
  await setTokens("gateway", "other", "revoked", "expired");
  const assistant = await pair.startAssistant(await identities.environment("assistant"));
  addresses = {
    assistant: await assistant.address(),
    "the assistant's DbProxy": await assistant.dbProxyAddress(),
    gateway: "",
  };
  const gateway = await pair.startGateway({
    ...(await identities.environment("gateway")),
    TANDEM_ASSISTANT_ADDRESS: addresses["the assistant's DbProxy"],
    TANDEM_CONTACTS_CALLERS: "gateway",
    TANDEM_INVITES_CALLERS: "gateway",
    TANDEM_MIRROR_CALLERS: "gateway",
    TANDEM_CUTOVER_CALLERS: "gateway",
  });
  await gateway.process.waitForLine('"msg":"serving"');
  addresses = { ...addresses, gateway: await gateway.address() };
  callers = await createCallers();
  await setTokens("gateway", "other", "expired");
  await waitFor(async () => (await probe("a revoked token")) === UNAUTHENTICATED, {
    describe: "the token to be revoked",
  });
});
afterAll(async () => {
  await pair[Symbol.asyncDispose]();
  await identities[Symbol.asyncDispose]();
});

async function createCallers(): Promise<typeof callers> {
  const { authorityFile } = await identities.issue("somebody");
  const stranger = await createDevelopmentAuthority();
  const gateway = await identities.issue("gateway-of-the-table", {
    names: [{ type: "url", value: "tandem://gateway" }],
  });
  const withToken = (token: string): ChannelIdentityOptions => ({ tls: { authorityFile }, token });
  const issued = async (folder: string, options: Parameters<Identities["issue"]>[1]) => ({
    tls: await identities.issue(folder, {
      names: [{ type: "url", value: "tandem://gateway" }],
      ...options,
    }),
  });
  return {
    "no certificate": { tls: { authorityFile } },
    "a certificate of another authority": await issued("of-another", { by: stranger }),
    "an expired certificate": await issued("expired", { expired: true }),
    "a wrong token": withToken(newToken()),
    "a revoked token": withToken(tokens.revoked),
    "an expired token": withToken(tokens.expired),
    "another caller's certificate": await issued("other", {
      names: [{ type: "url", value: "tandem://other" }],
    }),
    "another caller's token": withToken(tokens.other),
    "the right certificate with another caller's token": { tls: gateway, token: tokens.other },
    "the right certificate": { tls: gateway },
    "the right token": withToken(tokens.gateway),
  };
}

const UNAUTHENTICATED = "UNAUTHENTICATED/UNAUTHENTICATED";
const NOT_ALLOWED = "PERMISSION_DENIED/METHOD_NOT_ALLOWED";
const refusals: Readonly<Record<string, string>> = {
  "no certificate": UNAUTHENTICATED,
  "a certificate of another authority": UNAUTHENTICATED,
  "an expired certificate": UNAUTHENTICATED,
  "a wrong token": UNAUTHENTICATED,
  "a revoked token": UNAUTHENTICATED,
  "an expired token": UNAUTHENTICATED,
  "the right certificate with another caller's token": UNAUTHENTICATED,
  "another caller's certificate": NOT_ALLOWED,
  "another caller's token": NOT_ALLOWED,
};
const rightCallers = ["the right certificate", "the right token"];

describe.each(listeners)("at %s", (listener) => {
  describe.each(methods.map((method) => [`${method.parent.typeName}/${method.name}`, method] as const))(
    "%s",
    (_, method) => {
      const rules = served[listener].find(([service]) => service.typeName === method.parent.typeName)?.[1];
      const rule = rules?.[method.localName];

      it.each(Object.keys(refusals))("refuses %s", async (caller) => {
        const answer = await ask(listener, caller, method);
        if (rules === undefined) expect(answer).toBe("UNIMPLEMENTED/undefined");
        else if (rule === "anyone") expect(answer).toBe("OK");
        else expect(answer).toBe(refusals[caller]);
      });

      it.each(rightCallers)("hears %s where it is served, and nowhere else", async (caller) => {
        const answer = await ask(listener, caller, method);
        if (rules === undefined) expect(answer).toBe("UNIMPLEMENTED/undefined");
        else if (rule === undefined) expect(answer).toBe(NOT_ALLOWED);
        else expect([UNAUTHENTICATED, NOT_ALLOWED, "UNIMPLEMENTED/undefined"]).not.toContain(answer);
      });
    },
  );
});

/** The methods whose every message stands for a call of its own, and for which. */
const streamed = methods.flatMap((stream) => {
  const kinds = stream.input.oneofs.flatMap(({ fields }) => fields);
  const carried = kinds.find(({ message }) => message !== undefined)?.message;
  const call = stream.parent.methods.find(
    ({ methodKind, input }) => methodKind === "unary" && input === carried,
  );
  const named = stream.methodKind === "bidi_streaming" && stream.input.field["metadata"] !== undefined;
  return named && call !== undefined ? [{ stream, call }] : [];
});

it("finds the streams whose messages are calls", () => {
  expect(streamed.map(({ stream }) => stream.name)).toEqual(["TransactionStream"]);
});

describe.each(streamed.map(({ stream, call }) => [stream.name, call.name, stream] as const))(
  "an item of %s, which is a call of %s,",
  (_, __, stream) => {
    const listener = "the assistant's DbProxy";
    const verdicts: Readonly<Record<keyof typeof tokens | "nobody", string>> = {
      gateway: "answered",
      other: NOT_ALLOWED,
      revoked: UNAUTHENTICATED,
      expired: UNAUTHENTICATED,
      nobody: UNAUTHENTICATED,
    };

    it.each(Object.entries(verdicts))(
      "with the token of %s is %s on a stream opened with a token",
      async (whose, verdict) => {
        expect(await askItem(stream, { listener, caller: "the right token", token: tokenOf(whose) })).toBe(
          verdict,
        );
      },
    );

    it.each(Object.entries(verdicts))(
      "with the token of %s is judged beside the stream's certificate",
      async (whose, verdict) => {
        const answer = await askItem(stream, {
          listener,
          caller: "the right certificate",
          token: tokenOf(whose),
        });
        // Whose certificate and token name two callers is neither.
        expect(answer).toBe(whose === "other" ? UNAUTHENTICATED : verdict);
      },
    );

    it.each(rightCallers)("without credentials of its own is that of %s", async (caller) => {
      expect(await askItem(stream, { listener, caller })).toBe("answered");
    });
  },
);

function tokenOf(whose: string): string {
  return (tokens as Readonly<Record<string, string>>)[whose] ?? newToken();
}

/** Sends one item, and gives the code and the reason that it is refused with; "answered" where it came to a handler. */
async function askItem(
  { parent, localName, input }: DescMethod,
  {
    listener,
    caller,
    token,
  }: { readonly listener: Listener; readonly caller: string; readonly token?: string },
): Promise<string> {
  const channel = createChannel({ address: addresses[listener], ...callers[caller] });
  const kind = input.oneofs.flatMap(({ fields }) => fields).find(({ message }) => message !== undefined);
  const metadata = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const item = { id: 1n, metadata, [kind?.oneof?.localName ?? ""]: { case: kind?.localName, value: {} } };
  try {
    const call = (createClient(parent, channel) as Readonly<Record<string, AnyCall>>)[localName];
    const answers = call?.(
      (async function* () {
        yield item;
      })(),
      { timeoutMs: 10_000 },
    );
    for await (const { outcome } of answers as AsyncIterable<{
      readonly outcome: { readonly value?: unknown };
    }>) {
      const { code, details } = outcome.value as Status;
      const [info] = details.flatMap((detail) => anyUnpack(detail, ErrorInfoSchema) ?? []);
      const verdict = `${StatusCode[code]}/${info?.reason}`;
      return [UNAUTHENTICATED, NOT_ALLOWED].includes(verdict) ? verdict : "answered";
    }
    return "nothing";
  } finally {
    channel.close();
  }
}

describe("a stream that runs", () => {
  it("ends when the token of its caller is revoked", async () => {
    const watched = await watch({ ...callers["the right token"] });
    await setTokens("other", "expired");
    await expect(watched.next()).rejects.toMatchObject({
      code: StatusCode.UNAUTHENTICATED,
      reason: "UNAUTHENTICATED",
    });
    watched.close();
    await setTokens("gateway", "other", "expired");
  });

  it("ends when the certificate of its caller expires", async () => {
    const watched = await watch({
      tls: await identities.issue("short-lived", {
        names: [{ type: "url", value: "tandem://gateway" }],
        validUntil: new Date(Date.now() + 3_000),
      }),
    });
    await expect(watched.next()).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
    watched.close();
  });

  it("goes on where the token of somebody else is revoked", async () => {
    const watched = await watch({ ...callers["the right token"] });
    await setTokens("gateway", "expired");
    await expect.poll(() => probe("another caller's token")).toBe(UNAUTHENTICATED);
    const first = await Promise.race([watched.next(), Promise.resolve("still open")]);
    expect(first).toBe("still open");
    watched.close();
    await setTokens("gateway", "other", "expired");
  });
});

/** Of a stream without an end; its first message has come. */
async function watch(as: ChannelIdentityOptions): Promise<{ next(): Promise<unknown>; close(): void }> {
  const channel = createChannel({ address: addresses["the assistant's DbProxy"], ...as });
  const stream = createClient(Health, channel).watch({})[Symbol.asyncIterator]();
  await stream.next();
  const rest = stream.next();
  // It is looked at later, or not at all.
  rest.catch(() => undefined);
  return { next: () => rest, close: () => channel.close() };
}

async function readServices(): Promise<readonly DescService[]> {
  const found: DescService[] = [];
  const folder = new URL("../packages/contract/src/gen/", import.meta.url);
  for await (const file of glob("**/*_pb.ts", { cwd: folder })) {
    const module = (await import(new URL(file, folder).href)) as Readonly<Record<string, unknown>>;
    for (const value of Object.values(module)) if (isService(value)) found.push(value);
  }
  return found.toSorted((a, b) => a.typeName.localeCompare(b.typeName));
}

function isService(value: unknown): value is DescService {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "service";
}

it("finds the services of the contract", () => {
  expect(services.map(({ typeName }) => typeName)).toEqual(
    expect.arrayContaining([DbProxy.typeName, Health.typeName, "tandem.gateway.v1.Invites"]),
  );
});

/** What a caller gets with an empty request: OK, or the code and the reason. */
async function ask(listener: Listener, caller: string, method: DescMethod): Promise<string> {
  const channel = createChannel({ address: addresses[listener], ...callers[caller] });
  try {
    await begin(channel, method);
    return "OK";
  } catch (error) {
    const { code, reason } = error as { readonly code: StatusCode; readonly reason?: string };
    return `${StatusCode[code]}/${reason}`;
  } finally {
    channel.close();
  }
}

async function probe(caller: string): Promise<string> {
  return ask("the assistant's DbProxy", caller, DbProxy.method.probe);
}

/** Calls a method of whatever kind, and takes its first answer. */
async function begin(channel: Channel, method: DescMethod): Promise<void> {
  const call = (createClient(method.parent, channel) as Readonly<Record<string, AnyCall>>)[method.localName];
  if (call === undefined) throw new Error(`${method.name} can't be called.`);
  const streams = method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming";
  const answer = call(streams ? anEmptyRequest() : {}, { timeoutMs: 10_000 });
  if (answer instanceof Promise) await answer;
  else for await (const _ of answer) return;
}

type AnyCall = (request: unknown, options: object) => Promise<unknown> | AsyncIterable<unknown>;

async function* anEmptyRequest(): AsyncGenerator<object> {
  yield {};
}

function newToken(): string {
  return randomBytes(24).toString("base64url");
}

async function setTokens(...names: readonly (keyof typeof tokens)[]): Promise<void> {
  const lines = names.map((name) => ({
    name: name === "other" ? "other" : "gateway",
    sha256: hashToken(tokens[name]),
    ...(name === "expired" ? { expires: new Date(Date.now() - 1_000).toISOString() } : {}),
  }));
  await replaceFile(identities.tokensFile, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}
