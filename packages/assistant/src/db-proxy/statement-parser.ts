import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { HandlerError } from "@tandem/rpc";
import type { Parsed, ParserAnswer } from "./statement-parser-thread.ts";

/**
 * PostgreSQL's own parser, on a thread of its own: there are texts of 64 KiB on which it spends seconds, or
 * all of its memory. One text is parsed at a time, the shortest of those that
 * wait. What takes too long or too much is refused, and the thread is replaced.
 */
export interface StatementParser extends AsyncDisposable {
  /**
   * Fails with a HandlerError where it takes too long, where the signal is aborted before it is its turn, or at
   * once where too many texts wait already.
   */
  parse(sql: string, signal: AbortSignal): Promise<Parsed>;
}

const MAX_PARSE_MS = 1_000;
// A request has one here at a time; what stands behind so many would wait for longer than it is wanted.
const MAX_WAITING_TEXTS = 1_000;
const START_MS = 10_000;
const MAX_HEAP_MB = 256;

interface Waiting {
  readonly sql: string;
  readonly signal: AbortSignal;
  readonly settle: PromiseWithResolvers<Parsed>;
}

/** Fails where the thread can't be started. */
export async function createStatementParser(): Promise<StatementParser> {
  const waiting = new Set<Waiting>();
  let thread: Worker | undefined = await startThread();
  let working = false;

  const parseNow = async (sql: string): Promise<Parsed> => {
    thread ??= await startThread();
    const answer = await ask(thread, sql);
    if (answer === undefined || answer.spent) {
      await thread.terminate();
      thread = undefined;
    }
    if (answer === undefined) throw tooLong();
    return answer.parsed;
  };
  const work = async (): Promise<void> => {
    if (working) return;
    working = true;
    for (let next = shortest(waiting); next !== undefined; next = shortest(waiting)) {
      waiting.delete(next);
      const { sql, signal, settle } = next;
      if (signal.aborted) settle.reject(left());
      else await parseNow(sql).then(settle.resolve, settle.reject);
    }
    working = false;
  };
  return {
    parse: async (sql, signal) => {
      assertRoom(waiting);
      const settle = Promise.withResolvers<Parsed>();
      waiting.add({ sql, signal, settle });
      void work();
      return settle.promise;
    },
    [Symbol.asyncDispose]: async () => {
      await thread?.terminate();
    },
  };
}

async function startThread(): Promise<Worker> {
  const thread = new Worker(new URL("statement-parser-thread.ts", import.meta.url), {
    // What the parser prints when it gives up is of no use to anybody.
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  });
  thread.stdout.resume();
  thread.stderr.resume();
  // How it ends is seen by whoever waits for its answer.
  thread.on("error", () => undefined);
  await once(thread, "message", { signal: AbortSignal.timeout(START_MS) });
  thread.unref();
  return thread;
}

/** Gives nothing where the thread doesn't answer in time, or is no more. */
async function ask(thread: Worker, sql: string): Promise<ParserAnswer | undefined> {
  const answered = once(thread, "message", { signal: AbortSignal.timeout(MAX_PARSE_MS) });
  thread.postMessage(sql, []);
  return answered.then(
    ([answer]: ParserAnswer[]) => answer,
    () => undefined,
  );
}

function assertRoom(waiting: ReadonlySet<Waiting>): void {
  if (waiting.size < MAX_WAITING_TEXTS) return;
  const message = "Too many statements wait to be parsed: try again soon.";
  throw new HandlerError({ reason: "OVERLOADED", message });
}

function tooLong(): HandlerError {
  const message = "The statement takes too long to be parsed: make it shorter.";
  return new HandlerError({ reason: "SQL_INVALID", message });
}

function left(): HandlerError {
  const message = "The caller left before the statement was parsed.";
  return new HandlerError({ reason: "CANCELLED_BY_CALLER", outcome: "NOT_COMMITTED", message });
}

function shortest(waiting: ReadonlySet<Waiting>): Waiting | undefined {
  let found: Waiting | undefined;
  for (const each of waiting) {
    if (found === undefined || each.sql.length < found.sql.length) found = each;
  }
  return found;
}
