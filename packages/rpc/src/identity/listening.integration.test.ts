import { createDevelopmentAuthority, replaceFile } from "@tandem/testkit";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { readFile, rm } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createChannel } from "../client/channel.ts";
import { createClient } from "../client/client.ts";
import { startEcho } from "../testing/echo-server.ts";
import { Echo, text } from "../testing/echo-service.ts";
import { createIdentities, type Identities } from "../testing/identities.ts";
import type { IdentityOptions } from "./gate.ts";
import { PlaintextError } from "./loopback.ts";
import { allow } from "./rules.ts";
import { CredentialsFileError } from "./watched-files.ts";

const GATEWAY = { name: "gateway", token: "the-token-of-the-gateway" };
const REFLECTION = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const rules = { ...allow(Echo, { one: ["gateway"] }), [REFLECTION]: ["gateway"] };
const limits = { credentialsPollMs: 20 };

let identities: Identities;
let plaintext: IdentityOptions;
beforeAll(async () => {
  identities = await createIdentities();
  plaintext = { allowPlaintext: true, tokensFile: identities.tokensFile, rules };
});
beforeEach(() => identities.setTokens([GATEWAY]));
afterAll(() => identities[Symbol.asyncDispose]());

describe("a server", () => {
  it("does not listen in plaintext where other machines can reach it, with or without identities", async () => {
    for (const address of ["0.0.0.0:0", "[::]:0"]) {
      await expect(startEcho({ address })).rejects.toThrow(PlaintextError);
      await expect(startEcho({ address, identity: plaintext })).rejects.toThrow(
        "give this server certificates",
      );
    }
    const tls = identities.server;
    const as = { tls: { authorityFile: tls.authorityFile } };
    await using echo = await startEcho({ address: "0.0.0.0:0", identity: { tls, rules }, as });
    expect(echo.address).toMatch(/^0\.0\.0\.0:\d+$/);
  });

  it.each<[string, IdentityOptions]>([
    ["neither certificates nor a word on plaintext", { rules }],
    ["a word on plaintext that says no", { rules, allowPlaintext: false }],
    ["plaintext without a way to know anybody", { rules, allowPlaintext: true }],
  ])("is not made with %s", async (_, identity) => {
    await expect(startEcho({ identity })).rejects.toThrow(TypeError);
  });

  it("is not made with certificates and plaintext at once", async () => {
    const tls = identities.server;
    await expect(startEcho({ identity: { ...plaintext, tls } })).rejects.toThrow(TypeError);
    await expect(startEcho({ identity: { tls, plaintextCaller: "gateway", rules } })).rejects.toThrow(
      TypeError,
    );
  });

  it("does not start with files that can't be used, and names them", async () => {
    const { keyFile } = await identities.client("another");
    const wrongKey = { ...identities.server, keyFile };
    await expect(startEcho({ identity: { tls: wrongKey, rules } })).rejects.toThrow(keyFile);
    const missing = { ...identities.server, authorityFile: "/nowhere/authority.pem" };
    await expect(startEcho({ identity: { tls: missing, rules } })).rejects.toThrow("/nowhere/authority.pem");
    const empty = `${identities.tokensFile}.empty`;
    await replaceFile(empty, "");
    const nobody = { ...identities.server, authorityFile: empty };
    await expect(startEcho({ identity: { tls: nobody, rules } })).rejects.toThrow(CredentialsFileError);
    await replaceFile(empty, '\n{"name":"gateway"}\n');
    await expect(startEcho({ identity: { ...plaintext, tokensFile: empty } })).rejects.toThrow("line 2");
  });
});

describe("in plaintext on this machine", () => {
  it("a caller is whom its token is for, and nobody without one", async () => {
    await using echo = await startEcho({ identity: plaintext });
    await expect(echo.client.one(text("x"))).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
    const withToken = createChannel({ address: echo.address, token: GATEWAY.token });
    await createClient(Echo, withToken).one(text("x"));
    withToken.close();
  });

  it("a caller without a token is who everyone is said to be, and a wrong token is still wrong", async () => {
    const identity = { allowPlaintext: true, plaintextCaller: "gateway", rules };
    await using echo = await startEcho({ identity });
    await echo.client.one(text("x"));
    const metadata = { authorization: `Bearer ${GATEWAY.token}` };
    await expect(echo.client.one(text("x"), { metadata })).rejects.toMatchObject({
      reason: "UNAUTHENTICATED",
    });
  });

  it("lets nobody in by a token while its file can't be read, and again when it can", async () => {
    await using echo = await startEcho({ identity: plaintext, limits, as: { token: GATEWAY.token } });
    const reason = (): Promise<string> =>
      echo.client.one(text("x")).then(
        () => "OK",
        (error: { reason: string }) => error.reason,
      );
    expect(await reason()).toBe("OK");
    const content = await readFile(identities.tokensFile, "utf8");
    await rm(identities.tokensFile);
    await expect.poll(reason).toBe("UNAUTHENTICATED");
    await replaceFile(identities.tokensFile, content);
    await expect.poll(reason).toBe("OK");
    await replaceFile(identities.tokensFile, `${content.slice(0, 20)}\n`);
    await expect.poll(reason).toBe("UNAUTHENTICATED");
    expect(JSON.stringify(echo.log)).not.toContain(GATEWAY.token);
  });
});

describe("a channel", () => {
  it.each([
    { address: "assistant:7401" },
    { address: "10.0.0.7:7401" },
    { address: "dns:///assistant:7401" },
    { address: ["127.0.0.1:7401", "10.0.0.7:7401"] },
  ])("does not call another machine without TLS: $address", ({ address }) => {
    const create = (): unknown => createChannel({ address });
    expect(create).toThrow(PlaintextError);
    expect(create).toThrow("give the channel tls");
    expect(() => createChannel({ address, allowPlaintext: false })).toThrow(PlaintextError);
  });

  it("does so where it is told to, but never sends a token along", () => {
    const address = "assistant:7401";
    createChannel({ address, allowPlaintext: true }).close();
    const { token } = GATEWAY;
    expect(() => createChannel({ address, token, allowPlaintext: true })).toThrow("A token is not sent");
  });

  it("is not made with a token that can't be one, and doesn't repeat it", async () => {
    const file = `${identities.tokensFile}.client`;
    await replaceFile(file, "two tokens-of-somebody\n");
    for (const token of ["two tokens-of-somebody", { file }]) {
      const create = (): unknown => createChannel({ address: "127.0.0.1:7401", token });
      expect(create).toThrow(/token/);
      expect(create).not.toThrow("of-somebody");
    }
  });

  it("sends nothing to a server that its authority did not issue, nor to one that is not its peer", async () => {
    await using echo = await startEcho({ identity: { tls: identities.server, rules } });
    const tls = await identities.client("gateway");
    const authorityFile = `${identities.tokensFile}.authority`;
    await replaceFile(authorityFile, (await createDevelopmentAuthority()).certificate);
    for (const wrong of [
      { ...tls, authorityFile },
      { ...tls, peer: "assistant" },
    ]) {
      const channel = createChannel({ address: echo.address, tls: wrong });
      const call = createClient(Echo, channel).one(text("x"));
      await expect(call).rejects.toMatchObject({ name: "TransportError", sent: "no" });
      channel.close();
    }
    const channel = createChannel({ address: echo.address, tls: { ...tls, peer: "echo" } });
    await createClient(Echo, channel).one(text("x"));
    channel.close();
  });
});

it("lets reflection be used by whom a rule names", async () => {
  await using echo = await startEcho({ identity: plaintext, reflection: true });
  expect(await askReflection(echo.address, GATEWAY.token)).toContain(Echo.typeName);
  await expect(askReflection(echo.address, "the-token-of-a-stranger")).rejects.toThrow("UNAUTHENTICATED");
});

/** Asks as grpcurl does: field 7 of the request, list_services, as bytes. */
async function askReflection(address: string, token: string): Promise<string> {
  const client = new Client(address, credentials.createInsecure());
  const asIs = (bytes: Buffer): Buffer => bytes;
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  const stream = client.makeBidiStreamRequest(`/${REFLECTION}`, asIs, asIs, metadata);
  try {
    stream.write(Buffer.from([0x3a, 0x01, 0x2a]));
    for await (const answer of stream) return String(answer);
    throw new Error("no answer");
  } finally {
    stream.cancel();
    client.close();
  }
}
