import type {
  QueryRequest,
  QueryResponse,
  TransactionRequest,
  TransactionResponse,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { Logger } from "@tandem/rpc";
import { createAdmission } from "./admission.ts";
import { createCatalog } from "./catalog.ts";
import { createConnections } from "./connections.ts";
import { type DbProxyLimits, defaultDbProxyLimits } from "./limits.ts";
import { retryConflicts } from "./retry-conflicts.ts";
import { runQuery } from "./run-query.ts";
import { type Caller, type Executor, runTransaction } from "./run-transaction.ts";
import { createStatementCheck } from "./statement-check.ts";
import { parseTransaction } from "./transaction-request.ts";

/** The way into this service's database for a peer: whole transactions, and reads. */
export interface DbProxy extends AsyncDisposable {
  transaction(request: TransactionRequest, caller: Caller): Promise<TransactionResponse>;
  query(request: QueryRequest, caller: Caller): Promise<QueryResponse>;
}

export interface DbProxyOptions {
  /** The dbproxy role's: what it is granted is the most that a caller can reach. */
  readonly url: string;
  readonly limits?: Partial<DbProxyLimits>;
  readonly logger: Logger;
}

/** Fails, later, with HandlerErrors alone; connects when it is first used. */
export async function createDbProxy(options: DbProxyOptions): Promise<DbProxy> {
  const limits = { ...defaultDbProxyLimits, ...options.limits };
  const connections = createConnections({ url: options.url, limits, logger: options.logger });
  const executor: Executor = { connections, catalog: createCatalog(), limits };
  const rules = { limits, check: await createStatementCheck() };
  const admission = createAdmission({ maxRunning: limits.poolSize, maxWaiting: limits.maxWaiting });
  return {
    transaction: async (request, caller) => {
      const plan = parseTransaction(request, rules);
      const once = (): Promise<TransactionResponse> =>
        admission.run(caller, () => runTransaction(plan, executor, caller));
      return retryConflicts(once, { retries: limits.conflictRetries, ...caller });
    },
    query: (request, caller) => admission.run(caller, () => runQuery(request, executor, { caller, rules })),
    [Symbol.asyncDispose]: () => connections.close(),
  };
}
