import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, durationFromMs } from "@bufbuild/protobuf/wkt";
import { Isolation, type QueryRequestSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { CallOptions } from "@tandem/rpc";
import { Reference, type Statement } from "./statement.ts";
import { type Step, toSteps } from "./steps.ts";
import type { TransactionRequest } from "./wire/transaction-request.ts";

/** What may be said of any call. */
export type ProbeOptions = Pick<CallOptions, "timeoutMs" | "signal" | "context">;

export type IsolationLevel = "read committed" | "repeatable read" | "serializable";

export interface TransactionOptions extends ProbeOptions {
  /** The server's default, READ COMMITTED, where it isn't said. */
  readonly isolation?: IsolationLevel;
  /** Bounds each statement. The server has bounds of its own, and the call's deadline bounds everything. */
  readonly statementTimeoutMs?: number;
  /** Bounds the transaction as a whole. */
  readonly transactionTimeoutMs?: number;
  /** Checks and runs everything, and rolls it back. */
  readonly validateOnly?: boolean;
  /**
   * A UUIDv7 that the caller made (`newRequestId()`) and keeps, so as to send the same steps again or ask for
   * the receipt, even after a crash. The steps are applied once however often they are sent under it, within
   * the owner's retention of receipts (24 hours as a rule). Each send of it is settled against those that an
   * earlier life of the process may have made. It belongs to these steps alone, and once a call said
   * NOT_COMMITTED it may be spent: a write that is still wanted then takes a new one.
   */
  readonly requestId?: string;
  /** Transactions with the same key are applied one at a time, whichever instance of the owner they reach. */
  readonly serializationKey?: string;
}

export interface QueryOptions extends ProbeOptions {
  readonly statementTimeoutMs?: number;
  /** The `writeToken` of a transaction that the answer must reflect. */
  readonly atLeastAsFresh?: string;
  /** Asks the database that takes writes, not a replica. */
  readonly primary?: boolean;
}

/**
 * The request without an id, as it is before it is sent.
 *
 * @throws TypeError or RangeError for a mistake of the caller's
 */
export function toTransactionRequest(
  steps: readonly Step[],
  options: TransactionOptions,
  { sourceInstanceId, requestedAt }: Pick<TransactionRequest, "sourceInstanceId" | "requestedAt">,
): TransactionRequest {
  return {
    requestId: "",
    attempt: 0,
    steps: toSteps(steps),
    isolation: toIsolation(options.isolation),
    statementTimeoutMs: checkTimeout(options.statementTimeoutMs, "statementTimeoutMs"),
    transactionTimeoutMs: checkTimeout(options.transactionTimeoutMs, "transactionTimeoutMs"),
    validateOnly: options.validateOnly ?? false,
    serializationKey: toSerializationKey(options.serializationKey),
    sourceInstanceId,
    requestedAt,
  };
}

/** @throws TypeError or RangeError for a mistake of the caller's */
export function toQueryRequest(
  statement: Statement<object>,
  options: QueryOptions,
): MessageInitShape<typeof QueryRequestSchema> {
  const params = statement.params().map((param) => {
    if (!(param instanceof Reference)) return param;
    throw new TypeError("A query has no earlier steps that it could refer to.");
  });
  return {
    statement: statement.source(),
    params,
    statementTimeout: toDuration(options.statementTimeoutMs, "statementTimeoutMs"),
    atLeastAsFresh: options.atLeastAsFresh ?? "",
    primary: options.primary ?? false,
  };
}

const isolations: Readonly<Record<IsolationLevel, Isolation>> = {
  "read committed": Isolation.READ_COMMITTED,
  "repeatable read": Isolation.REPEATABLE_READ,
  serializable: Isolation.SERIALIZABLE,
};

function toIsolation(level: IsolationLevel | undefined): Isolation {
  if (level === undefined) return Isolation.UNSPECIFIED;
  if (Object.hasOwn(isolations, level)) return isolations[level];
  throw new TypeError(`There is no such isolation; there are: ${Object.keys(isolations).join(", ")}.`);
}

// On the wire an empty key is none: whoever gives one means something else.
function toSerializationKey(key: unknown): string {
  if (key === undefined) return "";
  if (typeof key === "string" && key !== "") return key;
  throw new TypeError("A serializationKey is a text that isn't empty.");
}

function toDuration(ms: number | undefined, name: string): Duration | undefined {
  const checked = checkTimeout(ms, name);
  return checked === undefined ? undefined : durationFromMs(checked);
}

// To PostgreSQL 0 means without end, which nobody may ask for here.
function checkTimeout(ms: number | undefined, name: string): number | undefined {
  if (ms === undefined || (Number.isSafeInteger(ms) && ms > 0)) return ms;
  throw new RangeError(`${name} is a whole number of milliseconds from 1 on.`);
}
