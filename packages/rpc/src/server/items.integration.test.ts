import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack, BytesValueSchema } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { ErrorInfoSchema } from "@tandem/contract/google/rpc/error_details";
import { StatusSchema } from "@tandem/contract/google/rpc/status";
import { waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { HandlerError } from "../errors/handler-error.ts";
import { allow } from "../identity/rules.ts";
import { type EchoPair, type EchoPairOptions, startEcho } from "../testing/echo-server.ts";
import { Echo, text, toText } from "../testing/echo-service.ts";
import { holdHandler } from "../testing/held-handler.ts";
import { createIdentities, type Identities } from "../testing/identities.ts";
import type { HandlerContext } from "./handler-context.ts";
import { type Item, itemMethod } from "./item-call.ts";
import type { MessageStream, MessageStreamHandler } from "./message-stream.ts";

type One = (request: { readonly value: Uint8Array }, context: HandlerContext) => Promise<object> | object;

/** Every message of the stream is an item of `One`, and so is every answer; what went wrong is one as a text. */
function items(one: One, more: Partial<Pick<Item, "metadata" | "deadline">> = {}): MessageStreamHandler {
  const method = itemMethod(Echo.method.one, async (request, context) => one(request, context));
  return {
    open: (stream, { signal }) => {
      let open = 0;
      let done = false;
      const endIfDone = (): void => void (done && open === 0 && stream.end());
      return {
        message: (request) => {
          open += 1;
          const item = { method, request, metadata: new Map<string, string>(), deadline: undefined, ...more };
          const call = stream.call(item, {
            answered: (_, { kind, bytes }) => {
              const failure = kind === "error" ? toBinary(BytesValueSchema, toFailure(bytes)) : undefined;
              stream.write(failure ?? bytes, () => undefined);
              open -= 1;
              endIfDone();
            },
            ended: () => undefined,
          });
          stream.begin(call);
        },
        halfClosed: () => {
          done = true;
          endIfDone();
        },
        aborted: () => stream.fail(signal.reason),
        closed: () => undefined,
      };
    },
  };
}

function toFailure(bytes: Uint8Array): ReturnType<typeof fromBinary<typeof BytesValueSchema>> {
  const { code, message, details } = fromBinary(StatusSchema, bytes);
  const [info] = details.map((detail) => anyUnpack(detail, ErrorInfoSchema));
  const value = Buffer.from(`${status[code]} ${info?.reason ?? "nobody"}: ${message}`);
  return { $typeName: "google.protobuf.BytesValue", value };
}

/** Sends texts over a stream and gives what came back, sorted. */
async function exchange(echo: EchoPair, ...texts: readonly string[]): Promise<string[]> {
  const requests = async function* (): AsyncGenerator<{ value: Uint8Array }> {
    for (const each of texts) yield text(each);
  };
  return (await Array.fromAsync(echo.client.both(requests()))).map(toText).toSorted();
}

describe("an item of a stream", () => {
  it("is answered by the function that answers the call, with a context of its own", async () => {
    const seen: HandlerContext[] = [];
    const one: One = (request, context) => {
      seen.push(context);
      return request;
    };
    const deadline = new Date(Date.now() + 5_000);
    const metadata = new Map([
      ["tandem-call-id", "of-the-item"],
      ["authorization", "Bearer secret"],
      ["kept", "kept"],
      ["kept-bin", "AQI="],
    ]);
    await using echo = await startEcho({ handlers: { both: items(one, { deadline, metadata }) } });
    expect(await exchange(echo, "a", "b")).toEqual(["a", "b"]);
    expect(seen).toHaveLength(2);
    expect(seen[0]).toMatchObject({ method: "tandem.rpc.testing.Echo/One", callId: "of-the-item", deadline });
    expect(Object.keys(seen[0]?.metadata.getMap() ?? {})).toEqual(["tandem-call-id", "kept", "kept-bin"]);
    expect(seen[0]?.metadata.get("kept-bin")).toEqual([Buffer.of(1, 2)]);
    expect(seen[0]?.signal).not.toBe(seen[1]?.signal);
    expect(seen[0]?.signal.aborted).toBe(false);
  });

  it("goes through the server's interceptors, as a call does", async () => {
    const passed: string[] = [];
    const interceptors: EchoPairOptions["interceptors"] = [
      async ({ method }, next) => {
        passed.push(method.slice(method.indexOf("/") + 1));
        await next();
      },
    ];
    await using echo = await startEcho({ interceptors, handlers: { both: items((request) => request) } });
    await exchange(echo, "a", "b");
    expect(passed).toEqual(["Both", "One", "One"]);
  });

  it("fails alone, and no word of a handler's defect crosses the wire", async () => {
    const one: One = (request) => {
      if (toText(request) === "defect") throw new TypeError("password=hunter2");
      if (toText(request) === "no") throw new HandlerError({ reason: "GUARD_UNMET", message: "Not so." });
      return toText(request) === "long" ? { value: Buffer.alloc(2_000) } : request;
    };
    const limits = { maxResponseBytes: 1_000 };
    await using echo = await startEcho({ limits, handlers: { both: items(one) } });
    expect(await exchange(echo, "yes", "no", "defect", "long")).toEqual([
      "FAILED_PRECONDITION GUARD_UNMET: Not so.",
      expect.stringMatching(/^FAILED_PRECONDITION RESULT_TOO_LARGE: The answer has 2003 bytes/),
      expect.stringMatching(/^INTERNAL HANDLER_FAILED: The handler failed/),
      "yes",
    ]);
    expect(echo.log.find(({ err }) => JSON.stringify(err ?? "").includes("hunter2"))).toMatchObject({
      method: "tandem.rpc.testing.Echo/One",
      reason: "HANDLER_FAILED",
    });
  });

  it("is answered at its deadline, when its handler is told to give up, and a drain waits for that", async () => {
    const held = holdHandler();
    let signal: AbortSignal | undefined;
    const one: One = (request, context) => {
      ({ signal } = context);
      return held.one(request);
    };
    const deadline = new Date(Date.now() + 100);
    const echo = await startEcho({ handlers: { both: items(one, { deadline }) } });
    expect(await exchange(echo, "a")).toEqual(["DEADLINE_EXCEEDED nobody: Deadline exceeded"]);
    expect(signal?.reason).toMatchObject({ reason: "CANCELLED_BY_CALLER", outcome: "UNKNOWN" });
    // The stream itself is over.
    expect(await echo.server.drain({ timeoutMs: 100 })).toEqual({ forced: 1 });
    held.release();
    await echo[Symbol.asyncDispose]();
  });

  it("has no more time than its stream", async () => {
    const deadlines: (Date | undefined)[] = [];
    const one: One = (request, context) => {
      deadlines.push(context.deadline);
      return request;
    };
    const deadline = new Date(Date.now() + 3_600_000);
    await using echo = await startEcho({ handlers: { both: items(one, { deadline }) } });
    const latest = Date.now() + 5_000;
    const requests = (async function* () {
      yield text("a");
    })();
    await Array.fromAsync(echo.client.both(requests, { deadline: new Date(latest) }));
    expect(deadlines[0]?.getTime()).toBeLessThan(latest + 1_000);
  });
});

describe("who an item comes from", () => {
  const GATEWAY = { name: "gateway", token: "the-token-of-the-gateway" };
  const CLI = { name: "cli", token: "the-token-of-the-cli" };
  const rules = allow(Echo, { one: ["cli"], both: ["gateway"] });
  let identities: Identities;
  beforeAll(async () => {
    identities = await createIdentities();
  });
  beforeEach(() => identities.setTokens([GATEWAY, CLI]));
  afterAll(() => identities[Symbol.asyncDispose]());

  const start = (both: MessageStreamHandler): Promise<EchoPair> => {
    const { server: tls, tokensFile } = identities;
    const { authorityFile } = tls;
    return startEcho({
      identity: { tls, tokensFile, rules },
      limits: { credentialsPollMs: 20 },
      as: { tls: { authorityFile }, token: GATEWAY.token },
      handlers: { both },
    });
  };
  const who: One = (_, { caller }) => text(String(caller));
  const as = (authorization: string): ReadonlyMap<string, string> =>
    new Map([["authorization", authorization]]);

  it.each([
    ["its own token's", as(`Bearer ${CLI.token}`), "cli"],
    [
      "refused where no rule lets the stream's caller",
      new Map<string, string>(),
      "PERMISSION_DENIED METHOD_NOT_ALLOWED",
    ],
    [
      "refused where its own token is nobody's",
      as("Bearer the-token-of-nobody"),
      "UNAUTHENTICATED UNAUTHENTICATED",
    ],
  ])("is %s", async (_, metadata, answer) => {
    await using echo = await start(items(who, { metadata }));
    const [first, second] = await exchange(echo, "a", "b");
    expect(first).toBe(second);
    expect(first?.split(":")[0]).toBe(answer);
  });

  it("fills no log where it is refused", async () => {
    await using echo = await start(items(who, { metadata: as("Bearer wrong") }));
    const answers = await exchange(echo, ...Array.from({ length: 100 }, (_, at) => String(at)));
    expect(answers.every((answer) => answer.startsWith("UNAUTHENTICATED"))).toBe(true);
    const lines = echo.log.filter(({ reason }) => reason === "UNAUTHENTICATED");
    expect(lines.length).toBeGreaterThan(0);
    // 10 in a second.
    expect(lines.length).toBeLessThan(50);
  });

  it("is asked for again once the tokens were read again, and the stream ends with its own caller's", async () => {
    const signals: AbortSignal[] = [];
    const one: One = (request, { signal, caller }) => {
      signals.push(signal);
      return toText(request) === "wait" ? new Promise(() => undefined) : text(String(caller));
    };
    await using echo = await start(items(one, { metadata: as(`Bearer ${CLI.token}`) }));
    const next = Promise.withResolvers<void>();
    const requests = async function* (): AsyncGenerator<{ value: Uint8Array }> {
      yield text("a");
      await next.promise;
      yield text("b");
    };
    const stream = echo.client.both(requests())[Symbol.asyncIterator]();
    expect(toText((await stream.next()).value)).toBe("cli");
    await identities.setTokens([GATEWAY]);
    await waitFor(() => echo.log.some(({ msg }) => msg === "the tokens were read again"), {
      describe: "that",
    });
    next.resolve();
    expect(toText((await stream.next()).value)).toMatch(/^UNAUTHENTICATED/);

    await identities.setTokens([GATEWAY, CLI]);
    await expect.poll(() => exchange(echo, "a")).toEqual(["cli"]);
    const begun = signals.length;
    const other = echo.client.both(
      (async function* () {
        yield text("wait");
        await new Promise(() => undefined);
      })(),
    );
    const refused = other[Symbol.asyncIterator]().next();
    refused.catch(() => undefined);
    await waitFor(() => signals.length > begun, { describe: "the item to run" });
    await identities.setTokens([CLI]);
    await expect(refused).rejects.toMatchObject({ reason: "UNAUTHENTICATED", outcome: "UNKNOWN" });
    expect(signals.at(-1)?.reason).toMatchObject({ reason: "UNAUTHENTICATED" });
  });
});

describe("a stream that reads messages as bytes", () => {
  it("takes nothing ahead of whoever has paused it", async () => {
    let opened: MessageStream | undefined;
    let read = 0;
    const both: MessageStreamHandler = {
      open: (stream) => {
        opened = stream;
        return {
          message: () => {
            read += 1;
            stream.pause();
          },
          halfClosed: () => stream.end(),
          aborted: () => undefined,
          closed: () => undefined,
        };
      },
    };
    await using echo = await startEcho({ handlers: { both } });
    let given = 0;
    const large = Buffer.alloc(256 * 1024);
    const requests = async function* (): AsyncGenerator<{ value: Uint8Array }> {
      for (; given < 60; given += 1) yield { value: large };
    };
    const stream = Array.fromAsync(echo.client.both(requests()));
    await waitFor(() => read === 1, { describe: "the first message" });
    let before = -1;
    await expect.poll(() => given === before || ((before = given), false), { interval: 200 }).toBe(true);
    expect(read).toBe(1);
    // What was read, what is being read, and the 16 that the client holds.
    expect(given).toBeLessThan(22);
    const readOn = (): boolean => {
      opened?.resume();
      return read === 60;
    };
    await waitFor(readOn, { describe: "all messages", pollMs: 1 });
    opened?.resume();
    expect(await stream).toEqual([]);
  });

  it("ends with what its handler throws", async () => {
    const both: MessageStreamHandler = {
      open: () => ({
        message: () => {
          throw new HandlerError({ reason: "GUARD_UNMET", message: "Not so." });
        },
        halfClosed: () => undefined,
        aborted: () => undefined,
        closed: () => undefined,
      }),
    };
    await using echo = await startEcho({ handlers: { both } });
    await expect(exchange(echo, "a")).rejects.toMatchObject({ reason: "GUARD_UNMET" });
  });
});
