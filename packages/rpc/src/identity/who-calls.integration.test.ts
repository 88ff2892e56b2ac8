import { Health } from "@tandem/contract/health/v1/health";
import { createDevelopmentAuthority } from "@tandem/testkit";
import type { DescMethod } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CallOptions } from "../client/call-options.ts";
import { createChannel } from "../client/channel.ts";
import { callStreaming } from "../client/streaming-call.ts";
import { type EchoPair, startEcho } from "../testing/echo-server.ts";
import { Echo } from "../testing/echo-service.ts";
import { createIdentities, type Identities } from "../testing/identities.ts";
import type { ChannelIdentityOptions } from "./channel-identity.ts";
import { allow } from "./rules.ts";

const TOKENS = {
  gateway: "the-token-of-the-gateway",
  cli: "the-token-of-the-cli",
  old: "the-token-of-yesterday",
};
const HOUR_MS = 3_600_000;
const everyEchoMethod = { one: ["gateway"], down: ["gateway"], up: ["gateway"], both: ["gateway"] };
const methods = [Echo, Health].flatMap((service) => service.methods);

let identities: Identities;
let echo: EchoPair;
let callers: Readonly<Record<string, { readonly as: ChannelIdentityOptions; readonly call?: CallOptions }>>;

beforeAll(async () => {
  identities = await createIdentities();
  await identities.setTokens([
    { name: "gateway", token: TOKENS.gateway },
    { name: "cli", token: TOKENS.cli, expires: new Date(Date.now() + HOUR_MS) },
    { name: "gateway", token: TOKENS.old, expires: new Date(Date.now() - HOUR_MS) },
  ]);
  echo = await startEcho({
    identity: {
      tls: identities.server,
      tokensFile: identities.tokensFile,
      // Not a rule for List and Watch.
      rules: { ...allow(Echo, everyEchoMethod), ...allow(Health, { check: "anyone" }) },
    },
    as: { tls: await identities.client("gateway") },
  });
  echo.server.health.setAll(true);
  callers = await createCallers();
});

afterAll(async () => {
  await echo[Symbol.asyncDispose]();
  await identities[Symbol.asyncDispose]();
});

async function createCallers(): Promise<typeof callers> {
  const { authorityFile } = identities.server;
  const withToken = (token: string): { as: ChannelIdentityOptions } => ({
    as: { tls: { authorityFile }, token },
  });
  const withNames = async (...names: readonly string[]): Promise<{ as: ChannelIdentityOptions }> => ({
    as: {
      tls: await identities.client("gateway", { names: names.map((value) => ({ type: "url", value })) }),
    },
  });
  // Of the same name: it is the key that counts.
  const stranger = await createDevelopmentAuthority();
  const gateway = await identities.client("gateway");
  return {
    "no certificate and no token": { as: { tls: { authorityFile } } },
    "a certificate of an authority that is not trusted": {
      as: { tls: await identities.client("gateway", { issuer: stranger }) },
    },
    "a certificate that has expired": { as: { tls: await identities.client("gateway", { expired: true }) } },
    "a certificate with two identities": await withNames("tandem://gateway", "tandem://cli"),
    "a certificate with an identity that is no name": await withNames("tandem://Gateway, admin"),
    "a wrong token": withToken("the-token-of-a-stranger"),
    "a token that has expired": withToken(TOKENS.old),
    "something else than a bearer token": {
      as: { tls: { authorityFile } },
      call: { metadata: { authorization: `Basic ${TOKENS.gateway}` } },
    },
    "a wrong token with a good certificate": { as: { tls: gateway, token: "the-token-of-a-stranger" } },
    "another caller's token with a good certificate": { as: { tls: gateway, token: TOKENS.cli } },
    "another caller's certificate": { as: { tls: await identities.client("cli") } },
    "another caller's token": withToken(TOKENS.cli),
    "a good certificate": { as: { tls: gateway } },
    "a good token": withToken(TOKENS.gateway),
    "a good certificate and a good token": { as: { tls: gateway, token: TOKENS.gateway } },
  };
}

const strangers = [
  "no certificate and no token",
  "a certificate of an authority that is not trusted",
  "a certificate that has expired",
  "a certificate with two identities",
  "a certificate with an identity that is no name",
  "a wrong token",
  "a token that has expired",
  "something else than a bearer token",
  "a wrong token with a good certificate",
  "another caller's token with a good certificate",
];
const others = ["another caller's certificate", "another caller's token"];
const friends = ["a good certificate", "a good token", "a good certificate and a good token"];

describe.each(methods.map((method) => [`${method.parent.typeName}/${method.name}`, method] as const))(
  "%s",
  (name, method) => {
    const forAnyone = name === "grpc.health.v1.Health/Check";
    const withoutRule = method.parent === Health && !forAnyone;

    it.each(strangers)("refuses %s as UNAUTHENTICATED, but for what anyone may call", async (caller) => {
      expect(await call(caller, method)).toBe(
        forAnyone ? "OK" : "UNAUTHENTICATED/UNAUTHENTICATED/NOT_COMMITTED",
      );
    });

    it.each(others)("refuses %s as METHOD_NOT_ALLOWED, but for what anyone may call", async (caller) => {
      expect(await call(caller, method)).toBe(
        forAnyone ? "OK" : "PERMISSION_DENIED/METHOD_NOT_ALLOWED/NOT_COMMITTED",
      );
    });

    it.each(friends)("takes %s where a rule names its caller, and nowhere else", async (caller) => {
      expect(await call(caller, method)).toBe(
        withoutRule ? "PERMISSION_DENIED/METHOD_NOT_ALLOWED/NOT_COMMITTED" : "OK",
      );
    });
  },
);

it("knows every caller of the table above", () => {
  expect([...strangers, ...others, ...friends].toSorted()).toEqual(Object.keys(callers).toSorted());
});

/** What a caller gets from a method of whatever kind, with an empty request: "OK", or the code and the reason. */
async function call(caller: string, method: DescMethod): Promise<string> {
  const { as, call: options } = callers[caller] ?? expect.fail(`there is no ${caller}`);
  const channel = createChannel({ address: echo.address, ...as });
  try {
    for await (const _ of callStreaming(channel, method, anEmptyRequest(), { timeoutMs: 10_000, ...options }))
      break;
    return "OK";
  } catch (error) {
    const { code, reason, outcome } = error as { code: status; reason?: string; outcome?: string };
    return `${status[code]}/${reason}/${outcome}`;
  } finally {
    channel.close();
  }
}

async function* anEmptyRequest(): AsyncGenerator<Record<string, never>> {
  yield {};
}
