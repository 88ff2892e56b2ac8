import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, timestampNow } from "@bufbuild/protobuf/wkt";
import {
  Isolation,
  type QueryRequestSchema,
  type TransactionRequestSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { CallOptions } from "@tandem/rpc";
import { Reference, type Statement } from "./statement.ts";
import { type Step, toSteps } from "./steps.ts";

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
}

export interface QueryOptions extends ProbeOptions {
  readonly statementTimeoutMs?: number;
  /** The `writeToken` of a transaction that the answer must reflect. */
  readonly atLeastAsFresh?: string;
  /** Asks the database that takes writes, not a replica. */
  readonly primary?: boolean;
}

/** @throws TypeError or RangeError for a mistake of the caller's */
export function toTransactionRequest(
  steps: readonly Step[],
  options: TransactionOptions & { readonly sourceInstanceId: string },
): MessageInitShape<typeof TransactionRequestSchema> & { readonly steps: readonly unknown[] } {
  const { statementTimeoutMs, transactionTimeoutMs, sourceInstanceId } = options;
  return {
    steps: toSteps(steps),
    isolation: toIsolation(options.isolation),
    statementTimeout: toDuration(statementTimeoutMs, "statementTimeoutMs"),
    transactionTimeout: toDuration(transactionTimeoutMs, "transactionTimeoutMs"),
    validateOnly: options.validateOnly ?? false,
    meta: { sourceInstanceId, requestedAt: timestampNow() },
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
    statement: { case: "sql", value: statement.text },
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

// To PostgreSQL 0 means without end, which nobody may ask for here.
function toDuration(ms: number | undefined, name: string): Duration | undefined {
  if (ms === undefined) return undefined;
  if (Number.isSafeInteger(ms) && ms > 0) return durationFromMs(ms);
  throw new RangeError(`${name} is a whole number of milliseconds from 1 on.`);
}
