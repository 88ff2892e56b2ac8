import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyUnpack, durationFromMs } from "@bufbuild/protobuf/wkt";
import { ErrorInfoSchema, RetryInfoSchema } from "@tandem/contract/google/rpc/error_details";
import type { Status } from "@tandem/contract/google/rpc/status";
import {
  type DbProxy,
  type TransactionRequestSchema,
  type TransactionStreamRequest,
  TransactionStreamRequestSchema,
  type TransactionStreamResponse,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { Outcome, WriteFailureSchema } from "@tandem/contract/tandem/errors/v1/errors";
import { type CallOptions, type Client, StatusCode } from "@tandem/rpc";
import { waitFor } from "@tandem/testkit";

/** A TransactionStream, message by message: what is sent is up to the test. */
export interface OpenStream {
  /** Every message that came, in order. */
  readonly messages: readonly TransactionStreamResponse[];
  /** Every answer that came, in order, those of `more`, too. */
  readonly answers: readonly TransactionStreamResponse[];
  readonly goneAway: boolean;
  /** Resolves when no more comes, with what the stream failed with, if it did. */
  readonly ended: Promise<unknown>;
  send(message: TransactionStreamRequest): void;
  /** Sends no more. */
  halfClose(): void;
  /** Resolves with the first answer of an id. */
  answer(id: bigint): Promise<TransactionStreamResponse>;
}

/** What the status of an item says. */
export interface Verdict {
  readonly code: string | undefined;
  readonly reason: string | undefined;
  readonly outcome: string | undefined;
  readonly retryable: boolean;
  readonly retryAfter: boolean;
  readonly message: string;
}

export function openStream(client: Client<typeof DbProxy>, options: CallOptions = {}): OpenStream {
  const outgoing: TransactionStreamRequest[] = [];
  const messages: TransactionStreamResponse[] = [];
  const answers: TransactionStreamResponse[] = [];
  let closed = false;
  let wake = (): void => {};
  const requests = async function* (): AsyncGenerator<TransactionStreamRequest> {
    for (;;) {
      const next = outgoing.shift();
      if (next !== undefined) yield next;
      else if (closed) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  let over = false;
  const read = async (): Promise<unknown> => {
    try {
      for await (const message of client.transactionStream(requests(), options)) {
        messages.push(message);
        answers.push(...[message, ...message.more].filter(({ id }) => id !== 0n));
      }
      return undefined;
    } catch (error) {
      return error;
    } finally {
      over = true;
    }
  };
  return {
    messages,
    answers,
    get goneAway() {
      return messages.some(({ outcome }) => outcome.case === "goAway");
    },
    ended: read(),
    send: (message) => {
      outgoing.push(message);
      wake();
    },
    halfClose: () => {
      closed = true;
      wake();
    },
    answer: async (id) => {
      const find = (): TransactionStreamResponse | undefined => answers.find((answer) => answer.id === id);
      await waitFor(() => find() !== undefined || over, {
        describe: `the answer of ${id}`,
        timeoutMs: 30_000,
      });
      const found = find();
      if (found === undefined) throw new Error(`The stream ended without an answer of ${id}.`);
      return found;
    },
  };
}

/** A message with a transaction. */
export function item(
  id: bigint | number,
  request: MessageInitShape<typeof TransactionRequestSchema>,
  more: Partial<ItemOptions> = {},
): TransactionStreamRequest {
  const { timeoutMs, metadata = {} } = more;
  return create(TransactionStreamRequestSchema, {
    id: BigInt(id),
    kind: { case: "request", value: request },
    metadata: { ...metadata },
    ...(timeoutMs === undefined ? {} : { timeout: durationFromMs(timeoutMs) }),
  });
}

interface ItemOptions {
  readonly timeoutMs: number;
  readonly metadata: Readonly<Record<string, string>>;
}

export function cancel(id: bigint | number): TransactionStreamRequest {
  return create(TransactionStreamRequestSchema, { id: BigInt(id), kind: { case: "cancel", value: true } });
}

/** One message of several. */
export function together(
  [first = create(TransactionStreamRequestSchema), ...more]: readonly TransactionStreamRequest[],
  { readsMore = false } = {},
): TransactionStreamRequest {
  return Object.assign(first, { more, readsMore });
}

/** What an answer says went wrong; "nothing" where it is a response. */
export function verdictOf({ outcome }: TransactionStreamResponse): Verdict | "nothing" {
  return outcome.case === "error" ? toVerdict(outcome.value) : "nothing";
}

function toVerdict({ code, message, details }: Status): Verdict {
  const failure = details
    .map((detail) => anyUnpack(detail, WriteFailureSchema))
    .find((found) => found !== undefined);
  const info = details
    .map((detail) => anyUnpack(detail, ErrorInfoSchema))
    .find((found) => found !== undefined);
  return {
    code: StatusCode[code],
    reason: info?.reason,
    outcome: Object.entries(Outcome).find(([, value]) => value === failure?.outcome)?.[0],
    retryable: failure?.retryable ?? false,
    retryAfter: details.some((detail) => anyUnpack(detail, RetryInfoSchema) !== undefined),
    message,
  };
}
