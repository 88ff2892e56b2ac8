import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  DbProxy,
  type TransactionRequest,
  type TransactionStreamRequest,
  TransactionStreamRequestSchema,
  type TransactionStreamResponse,
  TransactionStreamResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { type Channel, createChannel, openCallStream } from "@tandem/rpc";
import type { Caller, LoadPlace } from "../row.ts";
import type { Workload } from "../workloads/workload.ts";
import { channelOptions } from "./service-place.ts";
import { createRequests } from "./transaction-request.ts";

/**
 * DbProxy.TransactionStream through what is generated of the contract, and nothing that makes it safe: no request_id, no
 * deadline, no cancellation. What one turn has to send goes in one message, as @tandem/dbproxy does it.
 */
export function withStream(workload: Workload) {
  return (place: LoadPlace): Caller => {
    const channel = createChannel(channelOptions(place));
    const next = createRequests(workload, { requestId: false });
    let stream: Stream | undefined;
    return {
      call: () => {
        if (stream === undefined || stream.isLeaving) stream = new Stream(channel);
        return stream.run(next());
      },
      close: () => channel.close(),
    };
  };
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

class Stream {
  /** The service asked for another one: what is on this one is answered all the same. */
  isLeaving = false;
  readonly #stream;
  readonly #waiting = new Map<bigint, Waiting>();
  #entries: TransactionStreamRequest[] = [];
  #lastId = 0n;
  #isFirst = true;
  // While it connects and while it writes, entries are gathered.
  #isBusy = true;

  constructor(channel: Channel) {
    this.#stream = openCallStream(channel, DbProxy.method.transactionStream, {
      onConnected: () => this.#ready(),
      onTaken: () => undefined,
      onMessage: (message) => {
        const answer = fromBinary(TransactionStreamResponseSchema, message);
        for (const each of [answer, ...answer.more]) this.#settle(each);
      },
      onEnd: ({ error }) => {
        this.isLeaving = true;
        for (const { reject } of this.#waiting.values()) reject(error);
      },
    });
  }

  run(request: TransactionRequest): Promise<void> {
    this.#lastId += 1n;
    const id = this.#lastId;
    const entry = create(TransactionStreamRequestSchema, { id, kind: { case: "request", value: request } });
    if (this.#entries.push(entry) === 1) process.nextTick(() => this.#flush());
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #flush(): void {
    const [message, ...more] = this.#entries;
    if (message === undefined || this.#isBusy) return;
    this.#entries = [];
    this.#isBusy = true;
    message.more = more;
    message.readsMore = this.#isFirst;
    this.#isFirst = false;
    const { buffer, byteOffset, byteLength } = toBinary(TransactionStreamRequestSchema, message);
    this.#stream.write(Buffer.from(buffer, byteOffset, byteLength), () => this.#ready());
  }

  #ready(): void {
    this.#isBusy = false;
    this.#flush();
  }

  #settle({ id, outcome }: TransactionStreamResponse): void {
    if (outcome.case === "goAway") {
      this.isLeaving = true;
      return;
    }
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (outcome.case === "response") waiting?.resolve();
    else waiting?.reject(new Error(outcome.value?.message ?? "An answer has no outcome."));
  }
}
