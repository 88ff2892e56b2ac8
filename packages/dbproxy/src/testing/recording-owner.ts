import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  DbProxy as DbProxyService,
  type Param,
  type QueryRequest,
  type QueryResponseSchema,
  type ProbeResponseSchema,
  Role,
  type TransactionRequest,
  type TransactionResponseSchema,
  type TransactionStreamRequest,
  type Value,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import {
  type ChannelOptions,
  createLogger,
  HandlerError,
  type HandlerContext,
  type Handlers,
  type IdentityOptions,
  RpcServer,
} from "@tandem/rpc";
import { answerStreams } from "./answered-streams.ts";
import { createDbProxy, type DbProxy, type DbProxyOptions } from "../create-db-proxy.ts";

type AllHandlers = Handlers<typeof DbProxyService>;
/** They are given messages. */
type OwnerHandlers = AllHandlers & {
  readonly [K in "transaction" | "query"]: Extract<AllHandlers[K], (...given: never) => unknown>;
};

/** The owner of a database that isn't there: it notes what it is asked and gives every parameter back. */
export interface RecordingOwner extends AsyncDisposable {
  readonly address: string;
  /** A client of it. */
  readonly db: DbProxy;
  readonly transactions: readonly TransactionRequest[];
  readonly queries: readonly QueryRequest[];
  readonly contexts: readonly HandlerContext[];
  /** What came over streams. */
  readonly streamMessages: readonly TransactionStreamRequest[];
  /** How many streams are open, and were opened at all. */
  openStreams(): number;
  streamsOpened(): number;
  /** Asks the clients to open other streams in place of those that are open. */
  renewStreams(): void;
  /** Stops as a service does: its clients are asked to go elsewhere, and what runs is waited for. */
  drain(): Promise<void>;
}

export interface RecordingOwnerOptions {
  /** Instead of the answers that give the parameters back. */
  readonly handlers?: Partial<OwnerHandlers>;
  /** Everyone may call where it isn't said. */
  readonly identity?: IdentityOptions;
  readonly client?: Omit<DbProxyOptions, "address" | "channel"> & Pick<ChannelOptions, "limits">;
}

export async function startRecordingOwner(options: RecordingOwnerOptions = {}): Promise<RecordingOwner> {
  const transactions: TransactionRequest[] = [];
  const queries: QueryRequest[] = [];
  const contexts: HandlerContext[] = [];
  const handlers = { ...echoHandlers, ...options.handlers };
  const { identity } = options;
  const logger = createLogger({ service: "owner", level: "silent" });
  const server = new RpcServer({ logger, ...(identity === undefined ? {} : { identity }) });
  const transaction: OwnerHandlers["transaction"] = (request, context) => {
    transactions.push(request);
    contexts.push(context);
    return handlers.transaction(request, context);
  };
  const streams = answerStreams(transaction);
  server.addService(DbProxyService, {
    ...handlers,
    transaction,
    transactionStream: options.handlers?.transactionStream ?? streams.handler,
    query: (request, context) => {
      queries.push(request);
      contexts.push(context);
      return handlers.query(request, context);
    },
  });
  const address = await server.listen("127.0.0.1:0");
  const db = createDbProxy({ ...options.client, address });
  return {
    address,
    db,
    transactions,
    queries,
    contexts,
    streamMessages: streams.messages,
    openStreams: () => streams.open(),
    streamsOpened: () => streams.opened(),
    renewStreams: () => streams.renew(),
    drain: async () => void (await server.drain()),
    async [Symbol.asyncDispose]() {
      db.close();
      await server.drain({ timeoutMs: 0 });
    },
  };
}

const echoHandlers: Omit<OwnerHandlers, "transactionStream"> = {
  transaction: ({ steps, validateOnly }): MessageInitShape<typeof TransactionResponseSchema> => ({
    results: steps.map(({ params }, step) => ({ changes: BigInt(step), ...echo(params.map(valueOf)) })),
    writeToken: "token",
    ...(validateOnly ? {} : { committedAt: { seconds: 1_767_323_045n, nanos: 678_000_000 } }),
  }),
  query: ({ params }): MessageInitShape<typeof QueryResponseSchema> => echo(params),
  probe: (): MessageInitShape<typeof ProbeResponseSchema> => ({
    instanceId: "owner-1",
    role: Role.PRIMARY,
    epoch: 2n ** 62n,
    schemaVersion: "0007",
    statements: ["invites.record_use"],
  }),
  getReceipt: () => {
    throw notSupported();
  },
};

function echo(values: readonly Value[]) {
  const columns = values.map((_, index) => ({ name: `p${index + 1}`, type: "unknown" }));
  return { columns, rows: values.length === 0 ? [] : [{ values: [...values] }] };
}

function valueOf({ kind }: Param): Value {
  if (kind.case === "value") return kind.value;
  throw new HandlerError({ reason: "NOT_SUPPORTED", message: "The echo has no values of earlier steps." });
}

function notSupported(): HandlerError {
  return new HandlerError({ reason: "NOT_SUPPORTED", message: "The echo does not do this." });
}
