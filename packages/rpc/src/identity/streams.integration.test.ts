import { status } from "@grpc/grpc-js";
import { waitFor } from "@tandem/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createChannel } from "../client/channel.ts";
import { createClient } from "../client/client.ts";
import type { HandlerContext } from "../server/handler-context.ts";
import { type EchoPair, type EchoPairOptions, startEcho } from "../testing/echo-server.ts";
import { Echo, text, toText } from "../testing/echo-service.ts";
import { createIdentities, type Identities } from "../testing/identities.ts";
import { whenAborted } from "../when-aborted.ts";
import { allow } from "./rules.ts";

const GATEWAY = { name: "gateway", token: "the-token-of-the-gateway" };
const CLI = { name: "cli", token: "the-token-of-the-cli" };
const POLL_MS = 20;
const rules = allow(Echo, { one: ["gateway", "cli"], down: ["gateway"], up: ["gateway"], both: ["gateway"] });
const REVOKED = {
  name: "HandlerError",
  code: status.UNAUTHENTICATED,
  reason: "UNAUTHENTICATED",
  outcome: "UNKNOWN",
};

let identities: Identities;
beforeAll(async () => {
  identities = await createIdentities();
});
beforeEach(() => identities.setTokens([GATEWAY, CLI]));
afterAll(() => identities[Symbol.asyncDispose]());

function start(options: EchoPairOptions = {}): Promise<EchoPair> {
  const { server: tls, tokensFile } = identities;
  const { authorityFile } = tls;
  return startEcho({
    identity: { tls, tokensFile, rules },
    limits: { credentialsPollMs: POLL_MS },
    as: { tls: { authorityFile }, token: GATEWAY.token },
    ...options,
  });
}

describe("a stream whose token is revoked", () => {
  it("ends although nothing moves in it, and its handler is told", async () => {
    let seen: HandlerContext | undefined;
    const down = async function* (_: object, context: HandlerContext): AsyncGenerator<{ value: Uint8Array }> {
      seen = context;
      yield text("first");
      await whenAborted(context.signal);
    };
    await using echo = await start({ handlers: { down } });
    const stream = echo.client.down(text("go"))[Symbol.asyncIterator]();
    expect((await stream.next()).done).toBe(false);
    await identities.setTokens([CLI]);
    await expect(stream.next()).rejects.toMatchObject(REVOKED);
    expect(seen?.signal.reason).toMatchObject({ reason: "UNAUTHENTICATED" });
    expect(seen?.caller).toBe("gateway");
  });

  it.each(["request", "response"])(
    "gives no further %s to anyone, also before it is looked at again",
    async (what) => {
      const expires = new Date(Date.now() + 500);
      await identities.setTokens([{ ...GATEWAY, expires }]);
      const got: string[] = [];
      const answered: string[] = [];
      const expired = (): Promise<unknown> =>
        waitFor(() => Date.now() > expires.getTime(), { describe: "expiry" });
      const both = async function* (
        requests: AsyncIterable<{ value: Uint8Array }>,
      ): AsyncGenerator<{ value: Uint8Array }> {
        for await (const request of requests) {
          got.push(toText(request));
          if (toText(request) === "taken") await expired();
          yield request;
        }
      };
      await using echo = await start({ handlers: { both }, limits: { credentialsPollMs: 60_000 } });
      const sending = async function* (): AsyncGenerator<{ value: Uint8Array }> {
        yield text("before");
        await waitFor(() => answered.length === 1, { describe: "the first answer" });
        if (what === "response") yield text("taken");
        await expired();
        yield text("after");
      };
      const read = async (): Promise<void> => {
        for await (const response of echo.client.both(sending())) answered.push(toText(response));
      };
      await expect(read()).rejects.toMatchObject(REVOKED);
      expect(answered).toEqual(["before"]);
      expect(got).toEqual(what === "response" ? ["before", "taken"] : ["before"]);
    },
  );

  it("ends when its token expires, without a change of any file", async () => {
    await identities.setTokens([{ ...GATEWAY, expires: new Date(Date.now() + 700) }]);
    await using echo = await start({ handlers: { down: endless } });
    await expect(drain(echo.client.down(text("go")))).rejects.toMatchObject(REVOKED);
  });

  it("ends when its certificate expires, though the connection stays", async () => {
    // A certificate's time has whole seconds.
    const validUntil = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000);
    const tls = await identities.client("gateway", { validUntil });
    await using echo = await start({ as: { tls }, handlers: { down: endless } });
    await expect(drain(echo.client.down(text("go")))).rejects.toMatchObject({
      ...REVOKED,
      message: expect.stringContaining("certificate has expired"),
    });
    await expect(echo.client.one(text("later"))).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
  });

  it("leaves those of other callers, and calls that were let in, alone", async () => {
    const release = Promise.withResolvers<void>();
    let begun = 0;
    const one = async (_: object, { signal }: HandlerContext): Promise<{ value: Uint8Array }> => {
      begun += 1;
      await release.promise;
      return text(signal.aborted ? "given up" : "let in");
    };
    await using echo = await start({ handlers: { one, down: endless } });
    const certified = createChannel({ address: echo.address, tls: await identities.client("gateway") });
    const other = createClient(Echo, certified).down(text("go"))[Symbol.asyncIterator]();
    await other.next();
    const call = echo.client.one(text("x"));
    await waitFor(() => begun === 1, { describe: "the call" });
    await identities.setTokens([]);
    await expect.poll(() => refused(echo)).toBe("UNAUTHENTICATED");
    release.resolve();
    expect(toText(await call)).toBe("let in");
    for (let index = 0; index < 100; index += 1) expect((await other.next()).done).toBe(false);
    certified.close();
  });
});

describe("an item of a stream that stands for a call of its own", () => {
  const judged = async (items: readonly string[], method = "One"): Promise<string[]> => {
    const both = async function* (
      requests: AsyncIterable<{ value: Uint8Array }>,
      context: HandlerContext,
    ): AsyncGenerator<{ value: Uint8Array }> {
      for await (const request of requests) {
        const authorization = toText(request) === "" ? undefined : toText(request);
        yield text(verdict(context, { method: `${Echo.typeName}/${method}`, authorization }));
      }
    };
    await using echo = await start({ handlers: { both } });
    const requests = async function* (): AsyncGenerator<{ value: Uint8Array }> {
      for (const item of items) yield text(item);
    };
    return (await Array.fromAsync(echo.client.both(requests()))).map(toText);
  };

  it("comes from whom its own token is for, and from the stream's caller where it has none", async () => {
    const items = ["", `Bearer ${CLI.token}`, `Bearer ${GATEWAY.token}`];
    expect(await judged(items)).toEqual(["gateway", "cli", "gateway"]);
  });

  it("is refused alone, as the call would be: for its token, and for its method", async () => {
    const items = ["Bearer the-token-of-a-stranger", "cli", `Bearer ${CLI.token}`];
    expect(await judged(items, "Down")).toEqual(["UNAUTHENTICATED", "UNAUTHENTICATED", "METHOD_NOT_ALLOWED"]);
    expect(await judged([""], "NewMethod")).toEqual(["METHOD_NOT_ALLOWED"]);
  });
});

it("keeps a caller's credentials from handlers", async () => {
  let given: unknown[] | undefined;
  const one = async (_: object, { metadata }: HandlerContext): Promise<object> => {
    given = [...metadata.get("authorization"), ...metadata.get("kept")];
    return {};
  };
  await using echo = await start({ handlers: { one } });
  await echo.client.one(text("x"), { metadata: { kept: "kept" } });
  expect(given).toEqual(["kept"]);
});

async function* endless(): AsyncGenerator<{ value: Uint8Array }> {
  for (;;) {
    yield text("more");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

async function refused(echo: EchoPair): Promise<string> {
  try {
    await echo.client.up((async function* () {})());
    return "OK";
  } catch (error) {
    return (error as { reason: string }).reason;
  }
}

function verdict(context: HandlerContext, item: Parameters<HandlerContext["authoriseItem"]>[0]): string {
  try {
    return context.authoriseItem(item) ?? "nobody";
  } catch (error) {
    return (error as { reason: string }).reason;
  }
}
