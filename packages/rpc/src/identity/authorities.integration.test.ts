import {
  type CertificateFiles,
  createDevelopmentAuthority,
  type DevelopmentAuthority,
  replaceFile,
  writeCertificateFiles,
} from "@tandem/testkit";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { connect } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createChannel } from "../client/channel.ts";
import { createClient } from "../client/client.ts";
import type { HandlerContext } from "../server/handler-context.ts";
import { type EchoPair, startEcho } from "../testing/echo-server.ts";
import { Echo, text, toText } from "../testing/echo-service.ts";
import { createIdentities, type Identities } from "../testing/identities.ts";
import { whenAborted } from "../when-aborted.ts";
import { allow } from "./rules.ts";

const rules = allow(Echo, { one: ["gateway"], down: ["gateway"] });
const limits = { credentialsPollMs: 20 };
const [DATA, HEADERS, SETTINGS] = [0, 1, 4] as const;
const [END_STREAM, END_HEADERS] = [1, 4] as const;
const CONNECT_AGAIN = "is not trusted any more: connect again";

let identities: Identities;
let next: DevelopmentAuthority;
let echo: EchoPair;
let answered: number;
beforeEach(async () => {
  identities = await createIdentities();
  next = await createDevelopmentAuthority();
  answered = 0;
  const one = async (_: object, { peer }: HandlerContext): Promise<{ value: Uint8Array }> => {
    answered += 1;
    return text(peer);
  };
  const down = async function* (
    _: object,
    { peer, signal }: HandlerContext,
  ): AsyncGenerator<{ value: Uint8Array }> {
    yield text(peer);
    await whenAborted(signal);
  };
  echo = await startEcho({ identity: { tls: identities.server, rules }, limits, handlers: { one, down } });
});
afterEach(async () => {
  await echo[Symbol.asyncDispose]();
  await identities[Symbol.asyncDispose]();
});

describe("taking an authority away", () => {
  it("ends the streams of those that it issued to, and refuses their calls", async () => {
    using caller = await connectAs(await identities.client("gateway"));
    await trust(next);
    await expect(caller.stream.next()).rejects.toMatchObject({
      reason: "UNAUTHENTICATED",
      outcome: "UNKNOWN",
      message: expect.stringContaining(CONNECT_AGAIN),
    });
    await expect(caller.call()).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
  });

  it("takes no call of them either on a connection that they don't leave, and closes it", async () => {
    const tls = await identities.client("gateway");
    using connection = await connectStubbornly(tls);
    connection.call();
    await expect.poll(() => answered).toBe(1);
    await trust(next);
    connection.call();
    await connection.closed;
    expect(answered).toBe(1);
  });

  it("leaves those of the remaining ones alone, on the connections that they have", async () => {
    await trust(identities.authority, next);
    using theirs = await connectAs(await identities.client("gateway"));
    using ours = await connectAs(await identities.client("gateway", { issuer: next }));
    await trust(next);
    await expect(theirs.stream.next()).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
    expect(await ours.call()).toBe(ours.peer);
    // And its stream goes on, which would have ended with the other one.
    expect(await Promise.race([ours.stream.next(), ours.call()])).toBe(ours.peer);
  });

  it("fails no call of a caller that has another one's certificate by then", async () => {
    const tls = await identities.client("gateway");
    await writeCertificateFiles(dirname(tls.keyFile), await identities.authority.issue("gateway"), [
      identities.authority,
    ]);
    using caller = await connectAs(tls);
    await trust(identities.authority, next);
    await writeCertificateFiles(dirname(tls.keyFile), await next.issue("gateway"), [identities.authority]);
    // It is on its first connection still, whose certificate is the old one.
    const done = new AbortController();
    const callOn = async (): Promise<string[]> => {
      const peers = [];
      while (!done.signal.aborted) peers.push(await caller.call());
      return peers;
    };
    const lanes = Array.from({ length: 8 }, callOn);
    await trust(next);
    await expect.poll(() => caller.call()).not.toBe(caller.peer);
    done.abort();
    expect(new Set((await Promise.all(lanes)).flat()).size).toBe(2);
  });
});

it("adding an authority, or another certificate of the server's own, disturbs nobody", async () => {
  using caller = await connectAs(await identities.client("gateway"));
  await trust(identities.authority, next);
  await writeCertificateFiles(dirname(identities.server.keyFile), await identities.authority.issue("echo"), [
    next,
    identities.authority,
  ]);
  await expect.poll(reread).toBeGreaterThan(1);
  expect(await caller.call()).toBe(caller.peer);
  expect(await Promise.race([caller.stream.next(), caller.call()])).toBe(caller.peer);
});

describe("an authority between a certificate and the one that is trusted", () => {
  let between: DevelopmentAuthority;
  beforeEach(async () => {
    between = await identities.authority.issueAuthority("between");
  });

  it("may be sent along: then no authority of its first call can be taken away without its connecting again", async () => {
    const tls = await identities.client("gateway", { issuer: between });
    await replaceFile(
      tls.certificateFile,
      `${await readFile(tls.certificateFile, "utf8")}${between.certificate}`,
    );
    using caller = await connectAs(tls);
    await trust(identities.authority, next);
    expect(await caller.call()).toBe(caller.peer);
    using later = await connectAs(tls);
    await trust(identities.authority);
    expect(await caller.call()).toBe(caller.peer);
    await expect(later.stream.next()).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
    expect(await later.call()).not.toBe(later.peer);
    await trust(next);
    await expect(later.call()).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
    await expect(caller.stream.next()).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
  });

  it("can be taken away itself, where the server alone has it", async () => {
    await trust(identities.authority, between);
    using caller = await connectAs(await identities.client("gateway", { issuer: between }));
    await trust(identities.authority);
    await expect(caller.stream.next()).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
  });
});

/** Replaces the authorities that the server trusts, and waits until it does. */
async function trust(...authorities: readonly DevelopmentAuthority[]): Promise<void> {
  const before = reread();
  const pem = authorities.map(({ certificate }) => certificate).join("\n");
  await replaceFile(identities.server.authorityFile, pem);
  await expect.poll(reread).toBeGreaterThan(before);
}

/** How often the server has taken up what was written. */
function reread(): number {
  return echo.log.filter(({ msg }) => msg === "the certificates were read again").length;
}

interface Caller extends Disposable {
  readonly stream: AsyncIterator<object>;
  /** The client's end of the connection that the stream is on. */
  readonly peer: string;
  /** Calls, and gives the client's end of the connection that the call came by. */
  call(): Promise<string>;
}

async function connectAs(tls: CertificateFiles): Promise<Caller> {
  const channel = createChannel({ address: echo.address, tls, limits });
  const client = createClient(Echo, channel);
  const stream = client.down(text("go"))[Symbol.asyncIterator]();
  const first = await stream.next();
  return {
    stream,
    peer: toText(first.value),
    call: async () => toText(await client.one(text("x"))),
    [Symbol.dispose]: () => channel.close(),
  };
}

/** A client that does not leave when it is told to, as HTTP/2 of Node's would: it writes its frames itself. */
async function connectStubbornly(
  tls: CertificateFiles,
): Promise<Disposable & { readonly closed: Promise<unknown>; call(): void }> {
  const [host = "", port] = echo.address.split(":");
  const [cert, key] = [await readFile(tls.certificateFile), await readFile(tls.keyFile)];
  const ALPNProtocols = ["h2"];
  const socket = connect({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols, cert, key });
  await once(socket, "secureConnect");
  socket.resume();
  let stream = -1;
  const frame = (type: number, flags: number, body: Buffer): void => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(body.byteLength, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(Math.max(0, stream), 5);
    socket.write(Buffer.concat([head, body]));
  };
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  frame(SETTINGS, 0, Buffer.alloc(0));
  const headers = toHeaderBlock({
    ":method": "POST",
    ":scheme": "https",
    ":authority": echo.address,
    ":path": `/${Echo.typeName}/One`,
    "content-type": "application/grpc",
    te: "trailers",
  });
  return {
    closed: once(socket, "close"),
    call() {
      stream += 2;
      frame(HEADERS, END_HEADERS, headers);
      frame(DATA, END_STREAM, Buffer.alloc(5));
    },
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

/** Each header as a literal that no table keeps: https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2 */
function toHeaderBlock(headers: Readonly<Record<string, string>>): Buffer {
  const literal = (value: string): Buffer => Buffer.from([value.length, ...Buffer.from(value)]);
  return Buffer.concat(
    Object.entries(headers).flatMap(([name, value]) => [Buffer.of(0), literal(name), literal(value)]),
  );
}
