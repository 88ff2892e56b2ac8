import { trackLeaks, waitFor, createProcesses } from "@tandem/testkit";
import { once } from "node:events";
import { constants, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { HandlerError } from "../errors/handler-error.ts";
import type { MessageStreamHandler } from "../server/message-stream.ts";
import { startEcho } from "../testing/echo-server.ts";
import { Echo } from "../testing/echo-service.ts";
import { BegunCall } from "./begun-call.ts";
import { type CallStream, type CallStreamEnd, openCallStream } from "./call-stream.ts";
import { type Channel, createChannel } from "./channel.ts";

const leaks = trackLeaks();
const processes = createProcesses();
afterAll(async () => {
  await processes.end();
  await leaks.expectNoLeaks();
});

/** A stream, and what was heard of it, in its order. */
function open(channel: Channel): { stream: CallStream; heard: string[]; ended: Promise<CallStreamEnd> } {
  const heard: string[] = [];
  const ended = Promise.withResolvers<CallStreamEnd>();
  const stream = openCallStream(channel, Echo.method.both, {
    onConnected: () => heard.push("connected"),
    onTaken: (peer) => heard.push(`taken by ${peer}`),
    onMessage: (message) => heard.push(message.toString()),
    onEnd: (end) => ended.resolve(end),
  });
  return { stream, heard, ended: ended.promise };
}

const silent: MessageStreamHandler = {
  open: (stream) => ({
    message: () => {},
    halfClosed: () => stream.end(),
    aborted: () => {},
    closed: () => {},
  }),
};

describe("a stream of messages", () => {
  it("carries bytes both ways, and ends when both sides have said all", async () => {
    const both: MessageStreamHandler = {
      open: (stream) => ({
        ...silent.open(stream, undefined as never),
        message: (bytes) => stream.write(bytes, () => {}),
      }),
    };
    await using echo = await startEcho({ handlers: { both } });
    const { stream, heard, ended } = open(echo.channel);
    await waitFor(() => heard.includes(`taken by ${echo.address}`), { describe: "the stream to be taken" });
    await new Promise<void>((done) => stream.write(Buffer.from("hello"), done));
    await waitFor(() => heard.includes("hello"), { describe: "the answer" });
    stream.end();
    expect(await ended).toMatchObject({ error: { code: 0 }, taken: true, sent: "maybe" });
    expect(heard).toEqual(["connected", `taken by ${echo.address}`, "hello"]);
  });

  it("is known to be taken before anything was written or read", async () => {
    await using echo = await startEcho({ handlers: { both: silent } });
    const { heard } = open(echo.channel);
    await waitFor(() => heard.length === 2, { describe: "the stream to be taken" });
    expect(heard).toEqual(["connected", `taken by ${echo.address}`]);
  });

  it("that is refused was not taken, and its calls fail as calls that are refused", async () => {
    const refuse = (): never => {
      throw new HandlerError({ reason: "DRAINING", message: "Not here." });
    };
    await using echo = await startEcho({ handlers: { both: silent }, interceptors: [refuse] });
    const end = await open(echo.channel).ended;
    expect(end).toMatchObject({ taken: false, sent: "maybe" });
    const call = new BegunCall(echo.channel, Echo.method.one, {});
    expect(call.fromEnd(end.error)).toMatchObject({
      reason: "DRAINING",
      outcome: "NOT_COMMITTED",
      method: "tandem.rpc.testing.Echo/One",
    });
  });

  it("to nobody has sent nothing", async () => {
    const echo = await startEcho();
    await echo.server.drain({ timeoutMs: 0 });
    expect(await open(echo.channel).ended).toMatchObject({ error: { code: 14 }, taken: false, sent: "no" });
    await echo[Symbol.asyncDispose]();
  });

  it("that HTTP/2 refused unseen, by who was gone then, has sent nothing either", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    let refused = 0;
    server.on("stream", (stream) => {
      refused += 1;
      stream.on("error", () => {});
      server.close();
      stream.session?.close();
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
    });
    const channel = createChannel({ address: `127.0.0.1:${port}` });
    const { stream, heard, ended } = open(channel);
    await waitFor(() => heard.length === 1, { describe: "the stream to be connected" });
    stream.write(Buffer.from("hello"), () => {});
    expect(await ended).toMatchObject({ error: { code: 14 }, taken: false, sent: "no" });
    expect(refused).toBe(1);
    channel.close();
  });

  it("is cancelled when its channel is closed, and can't be opened after that", async () => {
    await using echo = await startEcho({ handlers: { both: silent } });
    const { heard, ended } = open(echo.channel);
    await waitFor(() => heard.length === 2, { describe: "the stream to be taken" });
    echo.channel.close();
    const call = new BegunCall(echo.channel, Echo.method.one, {});
    expect(call.fromEnd((await ended).error).message).toContain("the channel was closed");
    expect(() => open(echo.channel)).toThrow("the channel is closed");
  });
});

describe("a process", () => {
  const script = fileURLToPath(new URL("../testing/waiting-process.ts", import.meta.url));

  it("ends where nothing but a stream is open that was let go of", async () => {
    await using echo = await startEcho({ handlers: { both: silent } });
    const waiting = await processes.spawn({ args: [script, echo.address, "lets go"] });
    expect(await waiting.waitForExit({ timeoutMs: 3_000 })).toEqual({ code: 0, signal: null });
    expect(waiting.lines()).toEqual(["taken"]);
  });

  it("waits for a stream of requests all the same, on that connection too", async () => {
    const released = Promise.withResolvers<void>();
    const down = async function* () {
      await released.promise;
      yield { value: Buffer.from("at last") };
    };
    await using echo = await startEcho({ handlers: { both: silent, down } });
    const waiting = await processes.spawn({ args: [script, echo.address, "lets go", "and waits"] });
    await waiting.waitForLine("taken");
    setTimeout(released.resolve, 500);
    expect(await waiting.waitForExit({ timeoutMs: 3_000 })).toEqual({ code: 0, signal: null });
    expect(waiting.lines()).toEqual(["taken", "at last"]);
  });
});
