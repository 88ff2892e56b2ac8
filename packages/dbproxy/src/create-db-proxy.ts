import {
  DbProxy as DbProxyService,
  type ProbeResponse,
  Role,
  type TransactionResponse,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import {
  type Channel,
  type ChannelOptions,
  createChannel,
  createClient,
  HandlerError,
  type Reason,
  StatusCode,
  TransportError,
} from "@tandem/rpc";
import { type CallBounds, toCallBounds } from "./call-bounds.ts";
import { type DbProxyLimits, defaultDbProxyLimits } from "./limits.ts";
import { MalformedAnswerError } from "./malformed-answer-error.ts";
import { askForReceipt, type Receipt, type ReceiptOptions, toReceipt } from "./receipts.ts";
import { newRequestId, parseRequestId, requestIdTime } from "./request-id.ts";
import {
  type ProbeOptions,
  type QueryOptions,
  toQueryRequest,
  toTransactionRequest,
  type TransactionOptions,
} from "./requests.ts";
import { type QueryResult, toQueryResult, toTransactionResult, type TransactionResult } from "./results.ts";
import { createRetryBudget } from "./retry-budget.ts";
import { sendTransaction, type WriteId } from "./send-transaction.ts";
import { type Owner, sendWithRetries } from "./send-with-retries.ts";
import { Statement } from "./statement.ts";
import { defaultStreamLimits, type StreamLimits } from "./stream/limits.ts";
import { sendingAlone } from "./stream/send-alone.ts";
import { TransactionStreams, type TransactionStreamsOptions } from "./stream/transaction-streams.ts";
import { type Step, statementsOf } from "./steps.ts";
import { TransactionEncoder } from "./wire/encode-transaction.ts";

/** Where the owner of the database is, and what holds for every call. */
export type DbProxyOptions = (OwnChannel | GivenChannel) & {
  /** How long a call may take where it doesn't say so itself; the channel's default where neither does. */
  readonly timeoutMs?: number;
  /** Names this process in the receipts of its writes. */
  readonly sourceInstanceId?: string;
  /** Of this client alone; `defaultDbProxyLimits` has what isn't said. */
  readonly retryLimits?: Partial<DbProxyLimits>;
  /** Failures that may pass and are not met with another send all the same: the caller knows better what to do. */
  readonly notRetried?: readonly Reason[];
  /**
   * Transactions share a stream where the owner has that: it costs both sides less, and changes nothing else. `false`
   * makes a call of each; limits are this client's alone, and `defaultStreamLimits` has what isn't said.
   */
  readonly streams?: boolean | Partial<StreamLimits>;
};

interface OwnChannel extends ChannelOptions {
  readonly channel?: never;
}

interface GivenChannel {
  /** Stays its maker's: `close` leaves it open. */
  readonly channel: Channel;
  readonly address?: never;
}

/** What an instance says of itself. */
export interface ProbeResult {
  readonly instanceId: string;
  readonly role: "primary" | "secondary";
  /** Grows by one whenever the lease changes hands. */
  readonly epoch: bigint;
  readonly schemaVersion: string;
  /** The names of the registered statements that it can run. */
  readonly statements: readonly string[];
}

/**
 * Transactions and queries on a database that another service owns.
 *
 * Every function rejects with a HandlerError (the other side decided), a TransportError (nobody's handler
 * said so), or, before anything is sent, a TypeError or RangeError for a mistake of the caller's.
 *
 * What may fare better later is sent again, within the call's time and the client's limits; the error is that
 * of the last send. Nothing is applied twice by it: every transaction has a request_id, under which the owner
 * applies it once.
 */
export interface DbProxy {
  /**
   * Runs the steps in order in one transaction: all of them are committed, or none is.
   *
   * Where answers were lost, it asks the owner what became of the request, within the call's time, before it
   * settles: it resolves, `replayed`, with what was committed, or rejects with a HandlerError that says
   * NOT_COMMITTED. Only where that couldn't be had either, or `signal` was aborted, it rejects with an error
   * that leaves it open (`outcome: "UNKNOWN"`, `sent: "maybe"`). `requestIdOf(error)` then names the request
   * for `receipt`. NOT_COMMITTED and `sent: "no"` are said of the request as a whole.
   */
  transaction<const Steps extends readonly Step[]>(
    steps: Steps,
    options?: TransactionOptions,
  ): Promise<TransactionResult<Steps>>;
  /**
   * Tells what became of a transaction of this caller's. With `fence` the answer is final.
   *
   * @throws TypeError, as a rejection, where `requestId` is no UUIDv7
   */
  receipt(requestId: string, options?: ReceiptOptions): Promise<Receipt>;
  /** Runs one SELECT in a read-only transaction. */
  query<Row extends object>(statement: Statement<Row>, options?: QueryOptions): Promise<QueryResult<Row>>;
  /** Asks who answers, without touching its database. */
  probe(options?: ProbeOptions): Promise<ProbeResult>;
  /**
   * Closes the channel where this made it: calls that still run end with a TransportError. A channel that was given
   * stays open, and so do the calls on it.
   */
  close(): void;
}

/** Creates the client. It connects with the first call; whoever made it closes it. */
export function createDbProxy(options: DbProxyOptions): DbProxy {
  const channel = options.channel ?? createChannel(options);
  const client = createClient(DbProxyService, channel);
  const limits = { ...defaultDbProxyLimits, ...options.retryLimits };
  const budget = createRetryBudget(limits);
  const closing = new AbortController();
  const encoder = new TransactionEncoder();
  const sendAlone = sendingAlone(channel, encoder);
  const streams = openStreams(options.streams, { channel, encoder, sendAlone });
  const send = streams?.send ?? sendAlone;
  const notRetried: ReadonlySet<string> = new Set(options.notRetried);
  const isCallersOwn = (error: Error): boolean =>
    error instanceof HandlerError && notRetried.has(error.reason);
  const owner: Owner = { client, send, channel, limits, budget, isCallersOwn, closing: closing.signal };
  const { sourceInstanceId = "", timeoutMs } = options;
  const begin = (given: ProbeOptions): CallBounds => {
    budget.earn();
    return toCallBounds({ ...given, timeoutMs: given.timeoutMs ?? timeoutMs }, channel.limits);
  };
  return {
    async transaction<const Steps extends readonly Step[]>(steps: Steps, given: TransactionOptions = {}) {
      const id = toWriteId(given);
      const requestedAt = id === undefined ? Date.now() : requestIdTime(id.requestId);
      const request = toTransactionRequest(steps, given, { sourceInstanceId, requestedAt });
      const statements = statementsOf(steps);
      const understand = (response: TransactionResponse): TransactionResult<Steps> =>
        understood(channel, "Transaction", () => toTransactionResult(response, statements));
      const bounds = begin(given);
      if (id !== undefined) return sendTransaction(owner, { request, id, bounds, understand });
      return understand(await sendWithRetries(owner, { bounds }, (call) => send(request, call)));
    },
    async receipt(requestId, given = {}) {
      const request = { requestId: parseRequestId(requestId), fence: given.fence ?? false };
      const response = await askForReceipt(owner, request, { bounds: begin(given) });
      return understood(channel, "GetReceipt", () => toReceipt(response));
    },
    async query<Row extends object>(statement: Statement<Row>, given: QueryOptions = {}) {
      if (!(statement instanceof Statement)) {
        throw new TypeError("A query is made with sql`SELECT …`, or by calling a declared statement.");
      }
      const request = toQueryRequest(statement, given);
      const response = await sendWithRetries(owner, { bounds: begin(given) }, (call) =>
        client.query(request, call),
      );
      return understood(channel, "Query", () => toQueryResult<Row>(response, statement.declared()));
    },
    async probe(given = {}) {
      const response = await sendWithRetries(owner, { bounds: begin(given) }, (call) =>
        client.probe({}, call),
      );
      return understood(channel, "Probe", () => toProbeResult(response));
    },
    close() {
      streams?.leave();
      if (options.channel !== undefined) return;
      channel.close();
      closing.abort();
    },
  };
}

function openStreams(
  given: DbProxyOptions["streams"] = true,
  options: Omit<TransactionStreamsOptions, "limits">,
): TransactionStreams | undefined {
  if (given === false) return undefined;
  const limits = { ...defaultStreamLimits, ...(given === true ? {} : given) };
  return new TransactionStreams({ ...options, limits });
}

// What is only to be validated has no effect that could be applied twice.
function toWriteId({ requestId, validateOnly }: TransactionOptions): WriteId | undefined {
  if (requestId === undefined) {
    return validateOnly === true ? undefined : { requestId: newRequestId(), brought: false };
  }
  if (validateOnly === true) throw new TypeError("A transaction that is only validated takes no requestId.");
  return { requestId: parseRequestId(requestId), brought: true };
}

// The other side answered, so it acted; only what it said is not known.
function understood<T>(channel: Channel, method: string, convert: () => T): T {
  try {
    return convert();
  } catch (error) {
    if (!(error instanceof MalformedAnswerError)) throw error;
    throw new TransportError({
      code: StatusCode.INTERNAL,
      sent: "maybe",
      method: `${DbProxyService.typeName}/${method}`,
      address: channel.address,
      details: error.message,
      cause: error,
    });
  }
}

function toProbeResult({ instanceId, role, epoch, schemaVersion, statements }: ProbeResponse): ProbeResult {
  return { instanceId, role: toRole(role), epoch, schemaVersion, statements };
}

function toRole(role: Role): ProbeResult["role"] {
  if (role === Role.PRIMARY) return "primary";
  if (role === Role.SECONDARY) return "secondary";
  throw new MalformedAnswerError("the answer names a role that this client doesn't know");
}
