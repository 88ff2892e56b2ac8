import {
  DbProxy as DbProxyService,
  type ProbeResponse,
  Role,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import {
  type CallOptions,
  type Channel,
  type ChannelOptions,
  createChannel,
  createClient,
  StatusCode,
  TransportError,
} from "@tandem/rpc";
import { MalformedAnswerError } from "./malformed-answer-error.ts";
import {
  type ProbeOptions,
  type QueryOptions,
  toQueryRequest,
  toTransactionRequest,
  type TransactionOptions,
} from "./requests.ts";
import { type QueryResult, toQueryResult, toTransactionResult, type TransactionResult } from "./results.ts";
import { Statement } from "./statement.ts";
import type { Step } from "./steps.ts";

/** Where the owner of the database is, and what holds for every call. */
export type DbProxyOptions = (OwnChannel | GivenChannel) & {
  /** How long a call may take where it doesn't say so itself; the channel's default where neither does. */
  readonly timeoutMs?: number;
  /** Names this process in the receipts of its writes. */
  readonly sourceInstanceId?: string;
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
 * said so), or, before anything is sent, a TypeError or RangeError for a mistake of the caller's. Nothing is
 * sent twice: what to do after `sent: "maybe"` is the caller's decision.
 */
export interface DbProxy {
  /** Runs the steps in order in one transaction: all of them are committed, or none is. */
  transaction<const Steps extends readonly Step[]>(
    steps: Steps,
    options?: TransactionOptions,
  ): Promise<TransactionResult<Steps>>;
  /** Runs one SELECT in a read-only transaction. */
  query<Row extends object>(statement: Statement<Row>, options?: QueryOptions): Promise<QueryResult<Row>>;
  /** Asks who answers, without touching its database. */
  probe(options?: ProbeOptions): Promise<ProbeResult>;
  /** Closes the channel where this made it: calls that still run end with a TransportError. */
  close(): void;
}

/** Creates the client. It connects with the first call; whoever made it closes it. */
export function createDbProxy(options: DbProxyOptions): DbProxy {
  const channel = options.channel ?? createChannel(options);
  const client = createClient(DbProxyService, channel);
  const { sourceInstanceId = "", timeoutMs } = options;
  const toCallOptions = (call: ProbeOptions): CallOptions => withTimeout(call, call.timeoutMs ?? timeoutMs);
  return {
    async transaction<const Steps extends readonly Step[]>(steps: Steps, given: TransactionOptions = {}) {
      const request = toTransactionRequest(steps, { ...given, sourceInstanceId });
      const response = await client.transaction(request, toCallOptions(given));
      const stepCount = request.steps.length;
      return understood(channel, "Transaction", () => toTransactionResult<Steps>(response, stepCount));
    },
    async query<Row extends object>(statement: Statement<Row>, given: QueryOptions = {}) {
      if (!(statement instanceof Statement)) throw new TypeError("A query is made with sql`SELECT …`.");
      const response = await client.query(toQueryRequest(statement, given), toCallOptions(given));
      return understood(channel, "Query", () => toQueryResult<Row>(response));
    },
    async probe(given = {}) {
      const response = await client.probe({}, toCallOptions(given));
      return understood(channel, "Probe", () => toProbeResult(response));
    },
    close: () => (options.channel === undefined ? channel.close() : undefined),
  };
}

function withTimeout({ signal, context }: ProbeOptions, timeoutMs: number | undefined): CallOptions {
  if (timeoutMs !== undefined && !Number.isFinite(timeoutMs)) {
    throw new RangeError("timeoutMs is a number of milliseconds.");
  }
  return {
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(signal === undefined ? {} : { signal }),
    ...(context === undefined ? {} : { context }),
  };
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
