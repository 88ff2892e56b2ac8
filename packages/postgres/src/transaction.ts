import { HandlerError, unlessAborted } from "@tandem/rpc";
import { calledOff } from "./called-off.ts";
import type { Connection, ResultRows } from "./connection.ts";
import type { ConnectionPool } from "./connection-pool.ts";
import { recogniseError } from "./foreign-error.ts";
import { createQueries, type Queries } from "./queries.ts";
import { createSql, type RunStatement, type Sql } from "./sql.ts";
import { timeoutSettings } from "./timeout-settings.ts";
import { translateDatabaseError } from "./translate-database-error.ts";

/**
 * A transaction while its body runs. It has a connection to itself and runs its statements one after the other.
 * When the body has ended it is dead: what is asked of it then fails.
 */
export interface Transaction {
  readonly sql: Sql;
  readonly drizzle: Queries;
  readonly run: RunStatement;
}

export interface TransactionOptions {
  /** READ COMMITTED where it isn't said. */
  readonly isolation?: "READ COMMITTED" | "REPEATABLE READ" | "SERIALIZABLE";
  /** For the whole of it, from when it has a connection; the bound of each statement stays what it is. */
  readonly timeoutMs?: number;
  /** Ends it, unless COMMIT has been sent already. */
  readonly signal?: AbortSignal;
}

/** What bounds a transaction. PostgreSQL is waited for `answerMarginMs` longer than it is to bear with it. */
export interface TransactionBounds {
  readonly timeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly answerMarginMs: number;
}

interface Attempt {
  stage: "transaction" | "commit";
  startedAt: number;
}

type Body<T> = (transaction: Transaction) => Promise<T>;
type Options = TransactionOptions & { readonly bounds: TransactionBounds };

const beginScript = ({ isolation = "READ COMMITTED", bounds }: Options): string => {
  const transactionMs = Math.max(1, Math.ceil(bounds.timeoutMs));
  const statementMs = Math.min(bounds.statementTimeoutMs, transactionMs);
  return `BEGIN ISOLATION LEVEL ${isolation};${timeoutSettings({ statementMs, transactionMs }).join("; ")}`;
};

const controls: ReadonlySet<string> = new Set(
  "BEGIN,START TRANSACTION,COMMIT,ROLLBACK,PREPARE TRANSACTION".split(","),
);

/** Runs a body in a transaction of its own: `Database.transaction` says what it promises. */
export async function runTransaction<T>(pool: ConnectionPool, body: Body<T>, options: Options): Promise<T> {
  const attempt: Attempt = { stage: "transaction", startedAt: Infinity };
  try {
    return await pool.use((connection) => runOn(connection, body, options, attempt), options.signal);
  } catch (error) {
    throw explain(error, attempt, options);
  }
}

/**
 * Passes on the result of a statement that neither began nor ended a transaction, and fails with a TypeError
 * where it did: it is too late to undo that, but not to say so.
 */
export function refuseControl(result: ResultRows): ResultRows {
  if (!controls.has(result.command)) return result;
  throw new TypeError(`${result.command} is not for a statement: Database.transaction begins and ends them.`);
}

/** Leaves the connection without a transaction, or destroyed. */
async function runOn<T>(
  connection: Connection,
  body: Body<T>,
  options: Options,
  attempt: Attempt,
): Promise<T> {
  const { signal, bounds } = options;
  const bound = { answerTimeoutMs: bounds.timeoutMs + bounds.answerMarginMs };
  const handle = createHandle(async (statement) => refuseControl(await connection.run(statement, bound)));
  const destroy = (): void => connection.destroy();
  const patience = setTimeout(destroy, bound.answerTimeoutMs);
  signal?.addEventListener("abort", destroy, { once: true });
  if (signal?.aborted === true) destroy();
  attempt.startedAt = performance.now();
  try {
    await connection.run({ script: beginScript(options) }, bound);
    const result = await unlessAborted(body(handle.transaction), connection.lost);
    handle.end();
    signal?.removeEventListener("abort", destroy);
    attempt.stage = "commit";
    const { command } = await connection.run({ text: "COMMIT" }, bound);
    // PostgreSQL answers the COMMIT of a failed transaction with ROLLBACK, and calls it success.
    if (command !== "COMMIT") throw rolledBack();
    return result;
  } catch (error) {
    if (attempt.stage === "transaction") await rollBack(connection, handle, bound);
    throw error;
  } finally {
    clearTimeout(patience);
    signal?.removeEventListener("abort", destroy);
  }
}

async function rollBack(
  connection: Connection,
  handle: Handle,
  bound: { readonly answerTimeoutMs: number },
): Promise<void> {
  if (handle.kill()) connection.destroy();
  if (connection.lost.aborted) return;
  // Where it fails, whatever is left of the transaction goes with the connection.
  const ended = await connection.run({ text: "ROLLBACK" }, bound).catch(() => undefined);
  if (ended?.command !== "ROLLBACK") connection.destroy();
}

interface Handle {
  readonly transaction: Transaction;
  /** The handle is dead from now on. Tells whether a statement still runs. */
  kill(): boolean;
  /** The same, where every statement has succeeded; fails otherwise. */
  end(): void;
}

function createHandle(run: RunStatement): Handle {
  let over = false;
  let running = false;
  let unsettled = 0;
  let failure: Error | undefined;
  let last: Promise<void> = Promise.resolve();
  const runNext: RunStatement = (statement) => {
    if (over) throw new TypeError("The transaction is over, and so is its connection.");
    // There are no savepoints: after a failure there is nothing to go on with.
    if (failure !== undefined) throw failure;
    running = true;
    return run(statement);
  };
  const settle = (error?: Error): void => {
    running = false;
    unsettled -= 1;
    failure ??= error;
  };
  const runInTurn: RunStatement = (statement) => {
    unsettled += 1;
    const result = last.then(() => runNext(statement));
    last = result.then(() => settle(), settle);
    return result;
  };
  const kill = (): boolean => {
    over = true;
    return running;
  };
  return {
    transaction: { sql: createSql(runInTurn), drizzle: createQueries(runInTurn), run: runInTurn },
    kill,
    end: () => {
      kill();
      if (failure !== undefined) throw failure;
      if (unsettled > 0) throw new TypeError("A transaction's body ended before its statements: await each.");
    },
  };
}

function explain(error: unknown, attempt: Attempt, { signal, bounds }: Options): unknown {
  // It was thrown on while this waited for a connection, or by the body: COMMIT takes no notice of it.
  if (signal?.aborted === true && error === signal.reason) return calledOff(signal, { cause: error });
  const found = recogniseError(error);
  // What a body throws of its own is for its caller.
  if (found === undefined || error instanceof HandlerError) return error;
  const translated = translateDatabaseError(error, { during: attempt.stage });
  if (found.kind === "server" || translated.outcome !== "NOT_COMMITTED") return translated;
  if (signal?.aborted === true) return calledOff(signal, { cause: translated.cause });
  // PostgreSQL ends the session of a transaction that takes too long, and `postgres` drops what it says to that.
  if (performance.now() - attempt.startedAt >= bounds.timeoutMs) return tookTooLong(bounds, translated);
  return translated;
}

function tookTooLong({ timeoutMs }: TransactionBounds, { cause }: HandlerError): HandlerError {
  const message = `The transaction took longer than ${timeoutMs} ms.`;
  return new HandlerError({ reason: "TRANSACTION_TIMEOUT", message, cause });
}

function rolledBack(): HandlerError {
  return new HandlerError({
    reason: "DATABASE_INTERNAL",
    message: "PostgreSQL rolled the transaction back.",
  });
}
