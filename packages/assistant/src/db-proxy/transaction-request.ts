import { Isolation } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { HandlerError, invalidField, type Reason } from "@tandem/rpc";
import type { DbProxyLimits } from "./limits.ts";
import type { CallerPolicy } from "./policy/policy.ts";
import { findRegistered } from "./registered/find-registered.ts";
import type { RegisteredStatement, Registry } from "./registered/registry.ts";
import type { StatementCheck, StatementUse } from "./statement-check.ts";
import {
  type GivenParam,
  type GivenReference,
  type GivenStatement,
  type GivenStep,
  type GivenTime,
  type GivenTransaction,
  type GivenValue,
  toDate,
} from "./wire/given.ts";

/** A transaction that has passed every check that needs no database. */
export interface TransactionPlan {
  readonly steps: readonly Step[];
  readonly isolation: "READ COMMITTED" | "REPEATABLE READ" | "SERIALIZABLE";
  readonly validateOnly: boolean;
  readonly statementTimeoutMs: number;
  readonly transactionTimeoutMs: number;
  /** Transactions with the same key run one at a time; "" for none. */
  readonly serializationKey: string;
  /** When the request is too old to be run. */
  readonly expireTimeMs: number | undefined;
}

export interface Step {
  readonly runnable: Runnable;
  readonly params: readonly StepParam[];
  readonly minChanges: bigint | undefined;
  readonly maxChanges: bigint | undefined;
}

/** A statement that its caller may run. */
export interface Runnable {
  readonly sql: string;
  /** Where it was called by a name. */
  readonly registered: RegisteredStatement | undefined;
}

export type StepParam = GivenValue | GivenReference;

export interface RequestRules {
  readonly limits: DbProxyLimits;
  readonly statements: StatementCheck;
  readonly registry: Registry;
  readonly caller: string;
  /** The caller's; where there is none, the database role is the limit. */
  readonly policy: CallerPolicy | undefined;
}

const isolationNames: ReadonlyMap<number, TransactionPlan["isolation"]> = new Map([
  [Isolation.UNSPECIFIED, "READ COMMITTED"],
  [Isolation.READ_COMMITTED, "READ COMMITTED"],
  [Isolation.REPEATABLE_READ, "REPEATABLE READ"],
  [Isolation.SERIALIZABLE, "SERIALIZABLE"],
]);

/** Checks a request. Fails with a HandlerError that names the step and the field. */
export async function parseTransaction(
  request: GivenTransaction,
  rules: RequestRules,
  signal: AbortSignal,
): Promise<TransactionPlan> {
  const { limits } = rules;
  const expireTimeMs = request.expireTime && toDate(request.expireTime).getTime();
  refuseExpired({ expireTimeMs });
  const { serializationKey } = request;
  if (Buffer.byteLength(serializationKey) > limits.maxKeyBytes) {
    const why = `has ${Buffer.byteLength(serializationKey)} bytes, the limit is ${limits.maxKeyBytes}`;
    throw invalidField({ reason: "REQUEST_TOO_LARGE", field: "serialization_key", why });
  }
  if (request.steps.length === 0) {
    throw invalidField({
      reason: "EMPTY_TRANSACTION",
      field: "steps",
      why: "has no step: send at least one",
    });
  }
  if (request.steps.length > limits.maxSteps) {
    const why = `has ${request.steps.length} steps, the limit is ${limits.maxSteps}`;
    throw invalidField({ reason: "REQUEST_TOO_LARGE", field: "steps", why });
  }
  const isolation = isolationNames.get(request.isolation);
  if (isolation === undefined) {
    throw invalidField({ field: "isolation", why: "is none that this server knows" });
  }
  const steps: Step[] = [];
  for (const [index, step] of request.steps.entries()) {
    steps.push(await parseStep(step, { step: index, signal }, rules));
  }
  return {
    steps,
    isolation,
    validateOnly: request.validateOnly,
    statementTimeoutMs: parseTimeout(
      request.statementTimeout,
      "statement_timeout",
      limits.statementTimeoutMs,
    ),
    transactionTimeoutMs: parseTimeout(
      request.transactionTimeout,
      "transaction_timeout",
      limits.transactionTimeoutMs,
    ),
    serializationKey,
    expireTimeMs,
  };
}

/** Fails where the caller doesn't want it any more, whatever has delayed it. */
export function refuseExpired({ expireTimeMs = Infinity }: Pick<TransactionPlan, "expireTimeMs">): void {
  if (Date.now() <= expireTimeMs) return;
  const why = "has passed: the request is not run";
  throw invalidField({ reason: "REQUEST_ID_EXPIRED", field: "expire_time", why });
}

/** The shorter of what is asked for and what is allowed. */
export function parseTimeout(asked: GivenTime | undefined, field: string, limitMs: number): number {
  if (asked === undefined) return limitMs;
  const ms = Number(asked.seconds) * 1_000 + asked.nanos / 1_000_000;
  if (ms <= 0)
    throw invalidField({ field, why: "must be longer than nothing; leave it out for the default" });
  return Math.min(Math.ceil(ms), limitMs);
}

interface StatementPlace {
  readonly field: string;
  readonly step?: number;
  readonly use: StatementUse;
  readonly signal: AbortSignal;
}

/** The statement that may stand here, or a HandlerError. */
export async function parseStatement(
  statement: GivenStatement,
  place: StatementPlace,
  rules: RequestRules,
): Promise<Runnable> {
  const { step, use } = place;
  try {
    if (statement.case !== "name") {
      return { sql: await parseSql(statement, place, rules), registered: undefined };
    }
    const registered = findRegistered(statement.value, use, rules);
    return { sql: registered.sql, registered };
  } catch (error) {
    if (!(error instanceof HandlerError) || step === undefined || error.step !== undefined) throw error;
    throw new HandlerError({ reason: error.reason as Reason, message: error.message, step });
  }
}

async function parseSql(
  statement: GivenStatement,
  { field, step, use, signal }: StatementPlace,
  { limits, statements, caller, policy }: RequestRules,
): Promise<string> {
  if (statement.case === undefined || statement.value.trim() === "") {
    throw invalidField({ field: `${field}sql`, step, why: "is missing: a step is one statement" });
  }
  const sql = statement.value;
  if (Buffer.byteLength(sql) > limits.maxSqlBytes) {
    const why = `has ${Buffer.byteLength(sql)} bytes, the limit is ${limits.maxSqlBytes}`;
    throw invalidField({ reason: "REQUEST_TOO_LARGE", field: `${field}sql`, step, why });
  }
  if (sql.includes("\0")) throw invalidField({ field: `${field}sql`, step, why: "holds a NUL" });
  await statements.check(sql, { use, caller, policy }, signal);
  return sql;
}

async function parseStep(
  step: GivenStep,
  place: { readonly step: number; readonly signal: AbortSignal },
  rules: RequestRules,
): Promise<Step> {
  const { step: index } = place;
  const field = `steps[${index}].`;
  const runnable = await parseStatement(step.statement, { field, use: "step", ...place }, rules);
  const { minChanges, maxChanges } = step;
  assertCount(minChanges, { field: `${field}min_changes`, step: index });
  assertCount(maxChanges, { field: `${field}max_changes`, step: index });
  if (minChanges !== undefined && maxChanges !== undefined && minChanges > maxChanges) {
    throw invalidField({
      field: `${field}min_changes`,
      step: index,
      why: "must not be more than max_changes",
    });
  }
  checkParamCount(step.params.length, { field, step: index, limits: rules.limits });
  const params = parseParams(step.params, index);
  return { runnable, params, minChanges, maxChanges };
}

function assertCount(
  count: bigint | undefined,
  place: { readonly field: string; readonly step: number },
): void {
  if (count !== undefined && count < 0n) throw invalidField({ ...place, why: "must not be negative" });
}

export function checkParamCount(
  count: number,
  place: { readonly field: string; readonly step?: number; readonly limits: DbProxyLimits },
): void {
  const { field, step, limits } = place;
  if (count <= limits.maxParams) return;
  const why = `has ${count} parameters, the limit is ${limits.maxParams}`;
  throw invalidField({ reason: "REQUEST_TOO_LARGE", field: `${field}params`, step, why });
}

function parseParams(given: readonly GivenParam[], step: number): readonly StepParam[] {
  for (const [at, param] of given.entries()) assertParam(param, at, step);
  // None of them is one that is neither.
  return given as readonly StepParam[];
}

function assertParam(param: GivenParam, at: number, step: number): asserts param is StepParam {
  if (param.case !== "none" && param.case !== "ref") return;
  const field = `steps[${step}].params[${at}]`;
  if (param.case === "none") {
    throw invalidField({
      field,
      step,
      why: "is neither a value nor a reference; NULL is a value without a kind",
    });
  }
  const { step: earlier, row, column } = param.value;
  if (earlier < 0 || earlier >= step) {
    throw invalidField({ field: `${field}.ref.step`, step, why: "must be the number of an earlier step" });
  }
  if (row < 0) throw invalidField({ field: `${field}.ref.row`, step, why: "must not be negative" });
  if (column === "") throw invalidField({ field: `${field}.ref.column`, step, why: "must name a column" });
}
