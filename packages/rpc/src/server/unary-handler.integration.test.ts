import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { BytesValueSchema } from "@bufbuild/protobuf/wkt";
import { StatusSchema } from "@tandem/contract/google/rpc/status";
import { beforeEach, describe, expect, it } from "vitest";
import { HandlerError } from "../errors/handler-error.ts";
import { type EchoPair, startEcho } from "../testing/echo-server.ts";
import { Echo, text, toText } from "../testing/echo-service.ts";
import { EncodedMessage } from "./encoded-message.ts";
import { itemMethod } from "./item-call.ts";
import type { MessageStreamHandler } from "./message-stream.ts";
import type { ReadingHandler } from "./unary-handler.ts";

const LIMITS = { maxRequestBytes: 1_000 };
let handled: string[];
beforeEach(() => {
  handled = [];
});

/** Reads the text itself: number and length stand in the first two bytes. Leaves the loop once on its way. */
const reader: ReadingHandler<string, EncodedMessage> = {
  *read(bytes) {
    expect(Buffer.isBuffer(bytes)).toBe(false);
    yield;
    const value = Buffer.from(bytes.subarray(2)).toString();
    if (value === "none") throw new RangeError("password=hunter2");
    return value;
  },
  handle: (value) => {
    handled.push(value);
    return new EncodedMessage(toBinary(BytesValueSchema, message(`read ${value}`)));
  },
};

const message = (value: string) => ({ $typeName: "google.protobuf.BytesValue" as const, ...text(value) });

/** Each message of the stream is a call of `One`. What goes wrong is its text. */
const items: MessageStreamHandler = {
  open: (stream) => ({
    message: (request) => {
      const item = {
        method: itemMethod(Echo.method.one, reader),
        request,
        metadata: new Map(),
        deadline: undefined,
      };
      const call = stream.call(item, {
        answered: (_, { kind, bytes }) => {
          const failure = (): Uint8Array =>
            toBinary(BytesValueSchema, message(fromBinary(StatusSchema, bytes).message));
          stream.write(kind === "error" ? failure() : bytes, () => stream.end());
        },
        ended: () => undefined,
      });
      stream.begin(call);
    },
    halfClosed: () => undefined,
    aborted: () => undefined,
    closed: () => undefined,
  }),
};

type Send = (echo: EchoPair, value: string) => Promise<string>;

const asCall: Send = async ({ client }, value) => {
  try {
    return toText(await client.one(text(value)));
  } catch (error) {
    if (error instanceof HandlerError) return error.message;
    throw error;
  }
};

const asItem: Send = async ({ client }, value) => {
  const requests = async function* (): AsyncGenerator<{ value: Uint8Array }> {
    yield text(value);
  };
  const [answer] = await Array.fromAsync(client.both(requests()));
  return answer === undefined ? "nothing" : toText(answer);
};

describe.each([
  ["a call", asCall],
  ["an item of a stream", asItem],
])("a handler that reads its request itself, of %s,", (_, send) => {
  it("is given what it makes of the bytes", async () => {
    await using echo = await startEcho({ handlers: { one: reader, both: items }, limits: LIMITS });
    expect(await send(echo, "some")).toBe("read some");
    expect(handled).toEqual(["some"]);
  });

  it("is not called where the bytes are no request, of which no word crosses the wire", async () => {
    await using echo = await startEcho({ handlers: { one: reader, both: items }, limits: LIMITS });
    expect(await send(echo, "none")).toBe(
      "This is not a google.protobuf.BytesValue, or it is nested more than 100 deep.",
    );
    expect(handled).toEqual([]);
  });

  it("reads nothing of what is over the limit", async () => {
    const clientLimits = { maxRequestBytes: 10_000 };
    const handlers = { one: reader, both: items };
    await using echo = await startEcho({ handlers, limits: LIMITS, clientLimits });
    expect(await send(echo, "x".repeat(1_000))).toBe(
      "The message has 1003 bytes, the limit is 1000: send less at a time.",
    );
    expect(handled).toEqual([]);
  });
});
