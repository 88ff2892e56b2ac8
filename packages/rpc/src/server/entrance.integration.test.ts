import { create, toBinary } from "@bufbuild/protobuf";
import { BytesValueSchema } from "@bufbuild/protobuf/wkt";
import { Metadata, status } from "@grpc/grpc-js";
import { Health, HealthCheckRequestSchema } from "@tandem/contract/health/v1/health";
import {
  createRawGrpcClient,
  type RawAnswer,
  type RawGrpcClient,
  toGrpcFrame,
  waitFor,
} from "@tandem/testkit";
import { constants } from "node:http2";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fromStatus } from "../errors/status-details.ts";
import { openRules } from "../identity/open-rules.ts";
import { allow } from "../identity/rules.ts";
import { type EchoPair, type EchoPairOptions, startEcho } from "../testing/echo-server.ts";
import { Echo, text, toText } from "../testing/echo-service.ts";
import { createIdentities, type Identities } from "../testing/identities.ts";

const GATEWAY = { name: "gateway", token: "the-token-of-the-gateway" };
const CLI = { name: "cli", token: "the-token-of-the-cli" };
const MIB = 1024 * 1024;

let identities: Identities;
beforeAll(async () => {
  identities = await createIdentities();
  await identities.setTokens([GATEWAY, CLI]);
});
afterAll(() => identities[Symbol.asyncDispose]());

/** A server without TLS, to which raw bytes can be sent. */
function start(options: EchoPairOptions = {}): Promise<EchoPair> {
  const { tokensFile } = identities;
  const rules = allow(Echo, { one: ["gateway"], down: ["gateway"], up: ["gateway"], both: ["gateway"] });
  return startEcho({
    identity: { allowPlaintext: true, tokensFile, rules },
    as: { token: GATEWAY.token },
    reflection: true,
    ...options,
  });
}

describe("who may not call", () => {
  const methods = [
    ...[...Echo.methods, ...Health.methods].map(({ parent, name }) => `/${parent.typeName}/${name}`),
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  ];
  it.each(methods)("is told so before anything of the request is sent: %s", async (path) => {
    await using echo = await start();
    using raw = connect(echo.address);
    const stranger = await raw.client.open(path).answer;
    expect(fromAnswer(stranger)).toMatchObject({ reason: "UNAUTHENTICATED", outcome: "NOT_COMMITTED" });
    expect(stranger.status).toBe(status.UNAUTHENTICATED);
    const other = await raw.client.open(path, { authorization: `Bearer ${CLI.token}` }).answer;
    expect(fromAnswer(other)).toMatchObject({ reason: "METHOD_NOT_ALLOWED", outcome: "NOT_COMMITTED" });
  });

  it("is told so, by a typed client too, however much it sends, and its data is read by nobody", async () => {
    await using echo = await start({ as: { token: "the-token-of-a-stranger" } });
    const requests = Array.from({ length: 30 }, () =>
      echo.client.one({ value: Buffer.alloc(4 * MIB - 100) }),
    );
    const ends = await Promise.allSettled(requests);
    for (const end of ends) {
      expect(end).toMatchObject({ reason: { name: "HandlerError", reason: "UNAUTHENTICATED" } });
    }
  });

  it("is told so on a connection of its own too, whatever else is sent at the same moment", async () => {
    await using echo = await start();
    using raw = connect(echo.address);
    const body = toGrpcFrame(Buffer.alloc(MIB));
    const sends = Array.from({ length: 50 }, () => raw.client.send("/tandem.rpc.testing.Echo/One", body));
    for (const answer of await Promise.all(sends)) {
      expect(fromAnswer(answer)).toMatchObject({ reason: "UNAUTHENTICATED" });
    }
  });

  it("can't keep a call open", async () => {
    await using echo = await start({ limits: { refusedStreamMs: 50 } });
    using raw = connect(echo.address);
    const { stream, answer, closed } = raw.client.open("/tandem.rpc.testing.Echo/Both");
    stream.write(toGrpcFrame(Buffer.alloc(1)));
    await answer;
    expect(await closed).toBe(constants.NGHTTP2_NO_ERROR);
  });

  it("is in the log, with the id that it gave the call", async () => {
    await using echo = await start();
    using raw = connect(echo.address);
    await raw.client.open("/tandem.rpc.testing.Echo/One", { "tandem-call-id": "an-id" }).answer;
    expect(echo.log).toContainEqual(
      expect.objectContaining({
        reason: "UNAUTHENTICATED",
        callId: "an-id",
        method: "tandem.rpc.testing.Echo/One",
        peer: expect.stringContaining("127.0.0.1:"),
      }),
    );
  });
});

it("writes so many refusals of strangers into the log in a second, and counts the others", async () => {
  await using echo = await start({ limits: { maxStrangersLoggedPerSecond: 2 } });
  using raw = connect(echo.address);
  const refused = (): Record<string, unknown>[] =>
    echo.log.filter(({ reason }) => reason === "UNAUTHENTICATED");
  let calls = 0;
  const call = async (): Promise<void> => {
    calls += 1;
    await raw.client.open("/tandem.rpc.testing.Echo/One").answer;
  };
  await Promise.all(Array.from({ length: 50 }, call));
  const lines = refused().length;
  expect(lines).toBeLessThan(10);
  await waitFor(
    async () => {
      await call();
      return refused().length > lines;
    },
    { describe: "the next second" },
  );
  const leftOut = refused().reduce((sum, line) => sum + Number(line["leftOut"] ?? 0), 0);
  expect(leftOut + refused().length).toBe(calls);
});

describe("a stream of a caller whom nobody knows", () => {
  const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const listServices = toGrpcFrame(Buffer.from([0x3a, 0x01, 0x2a]));
  const open = { ...openRules({ reflection: true }), [`${Echo.typeName}/Both`]: ["gateway"] };

  it.each(["has no end", "was ended by its caller"])("has its time, and no more: it %s", async (how) => {
    const limits = { maxArrivalMs: 100, refusedStreamMs: 50 };
    const both = async function* (): AsyncGenerator<{ value: Uint8Array }> {
      yield text("first");
      await new Promise(() => undefined);
    };
    const rules = { ...open, [`${Echo.typeName}/Both`]: "anyone" } as const;
    const identity = { allowPlaintext: true, tokensFile: identities.tokensFile, rules };
    await using echo = await start({ identity, limits, handlers: { both } });
    using raw = connect(echo.address);
    const { stream, answer, closed } = raw.client.open(`/${Echo.typeName}/Both`);
    if (how === "was ended by its caller") stream.end(listServices);
    else stream.write(listServices);
    expect(await answer).toMatchObject({
      status: status.DEADLINE_EXCEEDED,
      message: "A stream of a caller whom nobody knows ends after 100 ms: show who you are, or ask again.",
    });
    expect(await closed).toBe(constants.NGHTTP2_NO_ERROR);
  });

  it("is reflection's too; one that is over in time, and a known caller's, are left alone", async () => {
    const identity = { allowPlaintext: true, tokensFile: identities.tokensFile, rules: open };
    await using echo = await start({ identity, limits: { maxArrivalMs: 100, refusedStreamMs: 50 } });
    using raw = connect(echo.address);
    expect(await raw.client.send(path, listServices)).toMatchObject({ status: status.OK });
    const known = raw.client.open(`/${Echo.typeName}/Both`, { authorization: `Bearer ${GATEWAY.token}` });
    const { stream, answer } = raw.client.open(path);
    stream.write(listServices);
    expect(await answer).toMatchObject({ status: status.DEADLINE_EXCEEDED });
    known.stream.end();
    expect(await known.answer).toMatchObject({ status: status.OK });
  });
});

describe("a unary request", () => {
  const path = "/tandem.rpc.testing.Echo/One";
  const authorization = `Bearer ${GATEWAY.token}`;
  const frame = toGrpcFrame(
    toBinary(BytesValueSchema, { $typeName: "google.protobuf.BytesValue", ...text("x") }),
  );

  it.each([
    ["never comes", 0],
    ["stops in the middle", 6],
    ["has no end", frame.byteLength],
  ])("is given up when its time is over: it %s", async (_, bytes) => {
    await using echo = await start({ limits: { maxArrivalMs: 50, refusedStreamMs: 50 } });
    using raw = connect(echo.address);
    const { stream, answer, closed } = raw.client.open(path, { authorization });
    if (bytes > 0) stream.write(frame.subarray(0, bytes));
    expect(await answer).toMatchObject({
      status: status.DEADLINE_EXCEEDED,
      message: "The request did not arrive within 50 ms.",
    });
    expect(await closed).toBe(constants.NGHTTP2_NO_ERROR);
    // It leaves nothing behind that others would notice.
    expect(toText(await echo.client.one(text("after")))).toBe("after");
  });

  it("that has arrived may be worked on for longer", async () => {
    const one = async (request: object): Promise<object> => {
      const began = Date.now();
      await waitFor(() => Date.now() > began + 100, { describe: "time to pass" });
      return request;
    };
    await using echo = await start({ limits: { maxArrivalMs: 50 }, handlers: { one } });
    expect(toText(await echo.client.one(text("x")))).toBe("x");
  });
});

it("takes no compressed request, and says so, whatever is in it", async () => {
  await using echo = await start();
  using raw = connect(echo.address);
  const headers = { authorization: `Bearer ${GATEWAY.token}`, "grpc-encoding": "gzip" };
  const body = toGrpcFrame(gzipSync(Buffer.alloc(MIB)), { compressed: true });
  for (const path of ["/tandem.rpc.testing.Echo/One", "/tandem.rpc.testing.Echo/Both"]) {
    const answer = await raw.client.send(path, body, headers);
    expect(answer).toMatchObject({
      status: status.UNIMPLEMENTED,
      message: "This server takes no compressed requests: send it without grpc-encoding.",
      headers: expect.objectContaining({ "grpc-accept-encoding": "identity" }),
    });
  }
  const answer = await raw.client.send("/tandem.rpc.testing.Echo/One", toGrpcFrame(Buffer.alloc(0)), {
    authorization: `Bearer ${GATEWAY.token}`,
  });
  expect(answer).toMatchObject({ status: status.OK, headers: { "grpc-accept-encoding": "identity" } });
});

it("takes small requests alone from callers whom nobody knows", async () => {
  const { tokensFile } = identities;
  const rules = { ...allow(Echo, { one: ["gateway"] }), ...allow(Health, { check: "anyone" }) };
  await using echo = await start({ identity: { allowPlaintext: true, tokensFile, rules } });
  echo.server.health.setAll(true);
  using raw = connect(echo.address);
  const path = "/grpc.health.v1.Health/Check";
  const asking = (bytes: number): Buffer =>
    toGrpcFrame(
      toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service: "x".repeat(bytes) })),
    );
  expect(await raw.client.send(path, toGrpcFrame(Buffer.alloc(0)))).toMatchObject({ status: status.OK });
  expect(await raw.client.send(path, asking(5_000))).toMatchObject({
    status: status.RESOURCE_EXHAUSTED,
    message: expect.stringContaining("larger than max"),
  });
  const headers = { authorization: `Bearer ${GATEWAY.token}` };
  expect(await raw.client.send(path, asking(5_000), headers)).toMatchObject({ status: status.NOT_FOUND });
});

it("lets a stream wait for its requests for as long as it likes", async () => {
  await using echo = await start({ limits: { maxArrivalMs: 20 } });
  const began = Date.now();
  const requests = async function* (): AsyncGenerator<{ value: Uint8Array }> {
    await waitFor(() => Date.now() > began + 100, { describe: "time to pass" });
    yield text("late");
  };
  expect((await Array.fromAsync(echo.client.both(requests()))).map(toText)).toEqual(["late"]);
});

function connect(address: string): Disposable & { readonly client: RawGrpcClient } {
  const client = createRawGrpcClient(address);
  return { client, [Symbol.dispose]: () => client.close() };
}

/** What the details say. */
function fromAnswer({ details }: RawAnswer): unknown {
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", details);
  return fromStatus(Object.assign(new Error(), { code: status.UNKNOWN, details: "", metadata }), "");
}
