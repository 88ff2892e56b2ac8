import { create } from "@bufbuild/protobuf";
import {
  type GetReceiptRequest,
  type GetReceiptResponse,
  GetReceiptResponseSchema,
  ReceiptState,
  type TransactionResponse,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import {
  exactlyOnce,
  isExpired,
  parseRequestId,
  parseRequestIdentity,
  type RequestIdentity,
  requestInProgress,
} from "@tandem/postgres";
import { createTimeSlices, type EncodedMessage, HandlerError, type Logger } from "@tandem/rpc";
import type { DeclaredStatement } from "@tandem/statements";
import { type Admission, createAdmission, createWaitingRoom } from "./admission.ts";
import { createCatalog } from "./catalog.ts";
import { createConnections } from "./connections.ts";
import { createDescriptions } from "./description.ts";
import { createKeyQueues } from "./key-queues.ts";
import { type DbProxyLimits, defaultDbProxyLimits } from "./limits.ts";
import { judgeName, notAllowed } from "./policy/judge.ts";
import type { CallerPolicy, Catalogue, Policy } from "./policy/policy.ts";
import { checkRegistered } from "./registered/check-registered.ts";
import { createRegistry, type Registry } from "./registered/registry.ts";
import { fingerprinting } from "./request-fingerprint.ts";
import { retryConflicts } from "./retry-conflicts.ts";
import { runQuery } from "./run-query.ts";
import { type Caller, type Executor, runTransaction } from "./run-transaction.ts";
import { createSettling } from "./settling.ts";
import { createStatementCheck, type StatementCheck } from "./statement-check.ts";
import { fromStoredResponse, toReplay } from "./stored-response.ts";
import {
  parseStatement,
  parseTransaction,
  type RequestRules,
  type TransactionPlan,
} from "./transaction-request.ts";
import { SpareWriter } from "./wire/spare-writer.ts";
import { type GivenQuery, type GivenTransaction, toDate } from "./wire/given.ts";

/** The way into this service's database for a peer: whole transactions, what became of them, and reads. */
export interface DbProxy extends AsyncDisposable {
  readonly limits: DbProxyLimits;
  /** Gives a TransactionResponse. */
  transaction(request: GivenTransaction, caller: Caller): Promise<EncodedMessage>;
  receipt(request: GetReceiptRequest, caller: Caller): Promise<GetReceiptResponse>;
  /** Gives a QueryResponse. */
  query(request: GivenQuery, caller: Caller): Promise<EncodedMessage>;
  /** The names of the registered statements that a caller of this name may use. */
  statementsOf(caller: string): readonly string[];
  /**
   * Holds the registered statements against the database, before any is run. Fails with a RegistrationError that
   * lists what differs, or with a HandlerError where the database couldn't be asked for a minute.
   */
  checkRegistered(signal: AbortSignal): Promise<void>;
}

export interface DbProxyOptions {
  /** The dbproxy role's: what it is granted is the most that a caller can reach. */
  readonly url: string;
  readonly limits?: Partial<DbProxyLimits>;
  /** What each caller may do; without it every caller may do what the role may. */
  readonly policy?: Policy | undefined;
  /** What the database has: a policy needs it, and so it is there before anything is served. */
  readonly catalogue?: (() => Catalogue | undefined) | undefined;
  /** What callers can run by its name. */
  readonly registered?: readonly DeclaredStatement[];
  /**
   * Called when a transaction has been committed that ran registered statements which may have written, with their names.
   * It is not called where the answer to COMMIT was lost.
   */
  readonly onCommitted?: (names: readonly string[]) => void;
  readonly logger: Logger;
}

/**
 * Fails with a RegistrationError where what is to be registered can't be, later with HandlerErrors alone; connects
 * when it is first used.
 */
export async function createDbProxy(options: DbProxyOptions): Promise<DbProxy> {
  const limits = { ...defaultDbProxyLimits, ...options.limits };
  const { statements, registry } = await openStatements(options);
  const rulesOf = ({ name }: Caller): RequestRules => {
    return { limits, statements, registry, caller: name, policy: policyOf(name, options.policy) };
  };
  const executor = createExecutor(options, limits);
  const { connections, slices } = executor;
  const settling = createSettling({ ...options, limits, slices });
  const admission = createAdmission({
    maxRunning: limits.poolSize,
    room: createWaitingRoom(limits.maxWaiting),
  });
  const running = new Set<string>();

  const parse = (request: GivenTransaction, caller: Caller): Promise<TransactionPlan> =>
    parseTransaction(request, rulesOf(caller), caller.signal);
  const apply = createApply(executor, admission, options.onCommitted);
  return {
    limits,
    transaction: async (request, caller) => {
      // Where nothing is committed there is nothing to know again.
      if (request.requestId === "" || request.validateOnly) {
        return apply(await parse(request, caller), caller);
      }
      const fingerprint = await slices.run(fingerprinting(request));
      const identity = identityOf(request, caller, fingerprint);
      return alone(running, identity, async () => {
        // Of a first send that can't be run nothing is to be found out.
        const parsed = identity.attempt === 0 ? await parse(request, caller) : undefined;
        const write = {
          ...caller,
          identity,
          apply: async () => apply(parsed ?? (await parse(request, caller)), caller, identity),
          replay: async (stored: Uint8Array) => toReplay(stored, await settling.writeToken(caller)),
        };
        return exactlyOnce(write, settling.receipts);
      });
    },
    receipt: async ({ requestId, fence }, caller) => {
      const key = { caller: caller.name, requestId: parseReceiptId(requestId) };
      if (isExpired(key.requestId)) return receiptResponse(ReceiptState.EXPIRED);
      const { receipts } = settling;
      const receipt = await (fence ? receipts.settle(key, caller) : receipts.find(key, caller));
      if (receipt === undefined) return receiptResponse(ReceiptState.NOT_FOUND);
      if (receipt.state === "refused") return receiptResponse(ReceiptState.REFUSED);
      const response = fromStoredResponse(receipt.response, await settling.writeToken(caller));
      return receiptResponse(ReceiptState.COMMITTED, response);
    },
    query: async (request, caller) => {
      const rules = rulesOf(caller);
      // What waits for the parser holds no place of those that run; there its text is known then.
      await parseStatement(request.statement, { field: "", use: "query", signal: caller.signal }, rules);
      return admission.run(caller, () => runQuery(request, executor, { caller, rules }));
    },
    statementsOf: (caller) => namesOf(registry, options.policy, caller),
    checkRegistered: (signal) => checkRegistered(registry, { ...executor, logger: options.logger, signal }),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([
        connections.close(),
        settling[Symbol.asyncDispose](),
        statements[Symbol.asyncDispose](),
      ]);
    },
  };
}

async function openStatements({
  registered = [],
  catalogue,
}: DbProxyOptions): Promise<{ readonly statements: StatementCheck; readonly registry: Registry }> {
  const statements = await createStatementCheck(catalogue);
  try {
    return { statements, registry: await createRegistry(registered, statements) };
  } catch (error) {
    await statements[Symbol.asyncDispose]();
    throw error;
  }
}

function createExecutor(options: DbProxyOptions, limits: DbProxyLimits): Executor {
  const slices = createTimeSlices();
  const connections = createConnections({ ...options, limits, slices });
  return {
    connections,
    catalog: createCatalog(),
    descriptions: createDescriptions(),
    limits,
    slices,
    writer: new SpareWriter(),
  };
}

/** Whoever may not use a name doesn't learn of it here either. */
function namesOf(registry: Registry, policy: Policy | undefined, caller: string): readonly string[] {
  const names = [...registry.keys()];
  if (policy === undefined) return names;
  const allowed = policy.callers.get(caller);
  return names.filter((name) => allowed !== undefined && judgeName(name, allowed) === undefined);
}

function policyOf(caller: string, policy: Policy | undefined): CallerPolicy | undefined {
  if (policy === undefined || policy.callers.has(caller)) return policy?.callers.get(caller);
  throw notAllowed("The policy of this database doesn't know this caller.");
}

/** Applies a plan in its key's turn, when it is admitted, and again where it had to give way to another. */
function createApply(
  executor: Executor,
  admission: Admission,
  onCommitted: DbProxyOptions["onCommitted"] = () => undefined,
) {
  const { maxWaiting, conflictRetries: retries } = executor.limits;
  const keys = createKeyQueues(createWaitingRoom(maxWaiting));
  return async (
    plan: TransactionPlan,
    caller: Caller,
    identity?: RequestIdentity,
  ): Promise<EncodedMessage> => {
    const once = (): Promise<EncodedMessage> =>
      admission.run(caller, () => runTransaction(plan, executor, { caller, identity }));
    const again = (): Promise<EncodedMessage> => retryConflicts(once, { retries, ...caller });
    const answer = await (plan.serializationKey === ""
      ? again()
      : keys.run(plan.serializationKey, caller, again));
    const written = plan.validateOnly ? [] : writesOf(plan);
    if (written.length > 0) onCommitted(written);
    return answer;
  };
}

function writesOf({ steps }: TransactionPlan): readonly string[] {
  return steps.flatMap(({ runnable: { registered } }) =>
    registered === undefined || registered.reads ? [] : [registered.name],
  );
}

// That it can't be asked for says nothing of what became of it.
function parseReceiptId(given: string): string {
  try {
    return parseRequestId(given);
  } catch (error) {
    throw error instanceof HandlerError ? error.withOutcome("UNKNOWN") : error;
  }
}

function identityOf(request: GivenTransaction, caller: Caller, fingerprint: Uint8Array): RequestIdentity {
  const { requestId, attempt, meta } = request;
  return parseRequestIdentity({
    caller: caller.name,
    requestId,
    attempt,
    fingerprint,
    requestedAt: meta?.requestedAt && toDate(meta.requestedAt),
    sourceInstanceId: meta?.sourceInstanceId ?? "",
  });
}

/** Refuses a copy at once while another one runs in this process: it would only hold a connection and wait. */
async function alone<T>(running: Set<string>, identity: RequestIdentity, work: () => Promise<T>): Promise<T> {
  const key = `${identity.requestId} ${identity.caller}`;
  if (running.has(key)) {
    throw requestInProgress();
  }
  running.add(key);
  try {
    return await work();
  } finally {
    running.delete(key);
  }
}

function receiptResponse(state: ReceiptState, response?: TransactionResponse): GetReceiptResponse {
  return create(GetReceiptResponseSchema, { state, ...(response === undefined ? {} : { response }) });
}
