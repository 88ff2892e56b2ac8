import { fromBinary } from "@bufbuild/protobuf";
import { TransactionStreamResponseSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { MessageStream } from "@tandem/rpc";
import { waitFor } from "@tandem/testkit";
import { describe, expect, it } from "vitest";
import { Answers } from "./answers.ts";

/** What goes out: the ids of each message, in order. Each is on its way at once. */
function open(expected: () => number, maxHeldMs: number): { answers: Answers; messages: bigint[][] } {
  const messages: bigint[][] = [];
  const write: MessageStream["write"] = (bytes, written) => {
    const message = fromBinary(TransactionStreamResponseSchema, bytes);
    messages.push([message, ...message.more].map(({ id }) => id));
    queueMicrotask(written);
  };
  const stream = { write } as Pick<MessageStream, "write"> as MessageStream;
  const answers = new Answers(stream, { expected, maxHeldMs, maxGatheredBytes: 1_000, onWritten: () => {} });
  answers.gathers = true;
  return { answers, messages };
}

const answer = (id: bigint) => ({ id, answer: { kind: "response", bytes: new Uint8Array() } }) as const;

describe("an answer", () => {
  it("goes out at once where few more are expected", () => {
    const { answers, messages } = open(() => 7, 60_000);
    answers.send(answer(1n));
    expect(messages).toEqual([[1n]]);
  });

  it("waits, where many more are expected, until there is one for every eight of them", () => {
    let left = 24;
    const { answers, messages } = open(() => left, 60_000);
    for (let id = 1n; id <= 3n; id += 1n) {
      expect(messages).toEqual([]);
      left -= 1;
      answers.send(answer(id));
    }
    expect(messages).toEqual([[1n, 2n, 3n]]);
  });

  it("waits no longer than it may", async () => {
    const { answers, messages } = open(() => 100, 20);
    answers.send(answer(1n));
    answers.send(answer(2n));
    expect(messages).toEqual([]);
    await waitFor(() => messages.length === 1, { describe: "the message" });
    expect(messages).toEqual([[1n, 2n]]);
    expect(answers.isIdle).toBe(true);
  });

  it("waits no longer than an eighth of what it took, and goes at once where that is less than a timer waits", async () => {
    const { answers, messages } = open(() => 100, 60_000);
    answers.send({ ...answer(1n), tookMs: 80 });
    expect(messages).toEqual([]);
    await waitFor(() => messages.length === 1, { describe: "the message" });
    answers.send({ ...answer(2n), tookMs: 80 });
    answers.send({ ...answer(3n), tookMs: 3 });
    expect(messages).toEqual([[1n], [2n, 3n]]);
  });

  it("waits for nobody where its caller reads one in a message, nor where a stream is to be left", () => {
    const single = open(() => 100, 60_000);
    single.answers.gathers = false;
    single.answers.send(answer(1n));
    expect(single.messages).toEqual([[1n]]);
    const leaving = open(() => 100, 60_000);
    leaving.answers.send(answer(1n));
    leaving.answers.send("go away");
    expect(leaving.messages).toEqual([[1n, 0n]]);
  });
});
