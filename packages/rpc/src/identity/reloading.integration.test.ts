import { createDevelopmentAuthority, replaceFile, writeCertificateFiles } from "@tandem/testkit";
import { once } from "node:events";
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "node:tls";
import { describe, expect, it } from "vitest";
import { type Channel, createChannel } from "../client/channel.ts";
import { createClient } from "../client/client.ts";
import { startEcho } from "../testing/echo-server.ts";
import { Echo, text } from "../testing/echo-service.ts";
import { createIdentities } from "../testing/identities.ts";
import { allow } from "./rules.ts";
import { CredentialsFileError } from "./watched-files.ts";

const rules = allow(Echo, { one: ["gateway"] });
const SWAP_MS = 50;
const POLL_MS = 20;
const LOAD_MS = 3_000;
const LANES = 4;

describe("certificates that are swapped", () => {
  it("fail no call, on connections that stay and on new ones", { timeout: 60_000 }, async () => {
    await using identities = await createIdentities();
    const next = await createDevelopmentAuthority("the next authority");
    const authorities = [identities.authority, next];
    const tls = await identities.client("gateway");
    await writeCertificateFiles(dirname(tls.authorityFile), await next.issue("gateway"), authorities);
    await writeCertificateFiles(
      dirname(identities.server.authorityFile),
      await next.issue("echo"),
      authorities,
    );
    const limits = { credentialsPollMs: POLL_MS, maxConnectionAgeMs: 200, maxConnectionAgeGraceMs: 5_000 };
    await using echo = await startEcho({ identity: { tls: identities.server, rules }, limits, as: { tls } });

    const until = performance.now() + LOAD_MS;
    const seen = new Set<string>();
    const load = Array.from({ length: LANES }, () => callUntil(until, () => echo.channel));
    const fresh = callUntil(
      until,
      () => openBetweenSwaps(() => createChannel({ address: echo.address, limits, tls })),
      (channel) => channel.close(),
    );
    let swaps = 0;
    while (performance.now() < until) {
      const authority = authorities[swaps % 2] ?? next;
      const issued = await Promise.all([authority.issue("echo"), authority.issue("gateway")]);
      await writeCertificateFiles(dirname(identities.server.keyFile), issued[0], authorities);
      await writeCertificateFiles(dirname(tls.keyFile), issued[1], authorities);
      seen.add(await serverFingerprint(echo.address));
      swaps += 1;
      await delay(SWAP_MS);
    }
    const calls = (await Promise.all([...load, fresh])).reduce((sum, count) => sum + count, 0);
    expect(calls).toBeGreaterThan(100);
    expect(seen.size).toBeGreaterThan(swaps / 3);
  });

  it("stay as they were where what is written can't be used, and a server says so", async () => {
    await using identities = await createIdentities();
    const tls = await identities.client("gateway");
    const limits = { credentialsPollMs: POLL_MS };
    await using echo = await startEcho({ identity: { tls: identities.server, rules }, limits, as: { tls } });
    const { keyFile } = await identities.client("another");
    await replaceFile(identities.server.keyFile, await readFile(keyFile, "utf8"));
    await expect
      .poll(() => echo.log.map(({ msg }) => msg))
      .toContain("the certificates can't be used: those before stay in use");
    await echo.client.one(text("on the old ones"));
  });

  it("let nobody in any more whose authority was taken out", async () => {
    await using identities = await createIdentities();
    const limits = { credentialsPollMs: POLL_MS };
    const tls = await identities.client("gateway");
    await using echo = await startEcho({ identity: { tls: identities.server, rules }, limits });
    const material = { cert: await readFile(tls.certificateFile), key: await readFile(tls.keyFile) };
    const before = await rawCall(echo.address, material);
    expect(before).toMatchObject({ status: "0", session: expect.any(Buffer) });
    const next = await createDevelopmentAuthority();
    await replaceFile(identities.server.authorityFile, next.certificate);
    const call = async (): Promise<string> => {
      const channel = createChannel({ address: echo.address, tls });
      const answer = createClient(Echo, channel).one(text("x"), { timeoutMs: 5_000 });
      return answer
        .then(
          () => "OK",
          (error: { reason?: string }) => error.reason ?? "no reason",
        )
        .finally(() => channel.close());
    };
    await expect.poll(call).toBe("UNAUTHENTICATED");
    // Nor by resuming a session that was made under the authority before.
    expect((await rawCall(echo.address, { ...material, session: before.session })).status).toBe("16");
  });
});

describe("a client's token in a file", () => {
  it("is read again while the channel is open", async () => {
    await using identities = await createIdentities();
    const tokenFile = `${identities.tokensFile}.client`;
    await replaceFile(tokenFile, "the-token-of-today\n");
    await identities.setTokens([{ name: "gateway", token: "the-token-of-today" }]);
    const { authorityFile } = identities.server;
    const limits = { credentialsPollMs: POLL_MS };
    await using echo = await startEcho({
      identity: { tls: identities.server, tokensFile: identities.tokensFile, rules },
      limits,
      as: { tls: { authorityFile, peer: "echo" }, token: { file: tokenFile } },
    });
    await echo.client.one(text("x"));
    await replaceFile(tokenFile, "the-token-of-tomorrow\n");
    await identities.setTokens([{ name: "gateway", token: "the-token-of-tomorrow" }]);
    await expect.poll(() => isOk(echo.channel)).toBe(true);
    await identities.setTokens([]);
    await expect.poll(() => isOk(echo.channel)).toBe(false);
  });
});

async function callUntil(
  until: number,
  open: () => Channel | Promise<Channel>,
  done: (channel: Channel) => void = () => {},
): Promise<number> {
  let calls = 0;
  while (performance.now() < until) {
    const channel = await open();
    await createClient(Echo, channel).one(text("x"), { timeoutMs: 10_000 });
    done(channel);
    calls += 1;
  }
  return calls;
}

// A channel that is opened between the renames of a certificate and its key says so, and isn't there.
async function openBetweenSwaps(open: () => Channel): Promise<Channel> {
  for (;;) {
    try {
      return open();
    } catch (error) {
      if (!(error instanceof CredentialsFileError)) throw error;
      await delay(1);
    }
  }
}

function isOk(channel: Channel): Promise<boolean> {
  return createClient(Echo, channel)
    .one(text("x"))
    .then(
      () => true,
      () => false,
    );
}

/** Which certificate a server shows to a new connection. */
async function serverFingerprint(address: string): Promise<string> {
  const [host = "", port] = address.split(":");
  const socket = connect({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  await once(socket, "secureConnect");
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

/** Calls without grpc-js, which never resumes a session: the status, and what a later connection resumes with. */
async function rawCall(
  address: string,
  options: { readonly cert: Buffer; readonly key: Buffer; readonly session?: Buffer | undefined },
): Promise<{ status: unknown; session: Buffer | undefined }> {
  const [host = "", port] = address.split(":");
  const { session: resumed, ...material } = options;
  const socket = connect({
    host,
    port: Number(port),
    rejectUnauthorized: false,
    ALPNProtocols: ["h2"],
    ...material,
    ...(resumed === undefined ? {} : { session: resumed }),
  });
  let session: Buffer | undefined;
  socket.on("session", (given: Buffer) => (session = given));
  const connection = connectHttp2(`https://${address}`, { createConnection: () => socket });
  const stream = connection.request({
    ":method": "POST",
    ":path": `/${Echo.typeName}/One`,
    "content-type": "application/grpc",
    te: "trailers",
  });
  let status: unknown;
  const look = (headers: IncomingHttpHeaders): void => void (status ??= headers["grpc-status"]);
  stream.on("response", look).on("trailers", look);
  // One empty message, not compressed.
  stream.end(Buffer.alloc(5));
  stream.resume();
  await once(stream, "close");
  connection.close();
  await once(connection, "close");
  return { status, session };
}
