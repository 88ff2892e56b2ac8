import { HandlerError } from "@tandem/rpc";
import { startParserWorker } from "./parser-worker.ts";
import { createParsingTurns } from "./parsing-turns.ts";
import type { Parsed } from "./statement-parser-thread.ts";

/**
 * PostgreSQL's own parser, on a thread of its own: there are texts of 64 KiB on which it spends seconds, or
 * all of its memory. One text is parsed at a time; callers take
 * turns. What takes too long or too much is
 * refused.
 */
export interface StatementParser extends AsyncDisposable {
  /**
   * Fails with a HandlerError where it takes too long or too much memory, where the signal is aborted before it is its
   * turn, or at once where too many texts of the same caller wait already.
   */
  parse(sql: string, sender: Sender): Promise<Parsed>;
}

/** Whose text it is. */
export interface Sender {
  /** "" for the service itself. */
  readonly caller: string;
  readonly signal: AbortSignal;
}

interface Waiting extends Sender {
  readonly sql: string;
  readonly settle: PromiseWithResolvers<Parsed>;
}

/** Fails where the thread can't be started. */
export async function createStatementParser(): Promise<StatementParser> {
  const waiting = createParsingTurns<Waiting>();
  const worker = await startParserWorker();
  let working = false;

  const parseNow = async (sql: string): Promise<Parsed> => {
    const outcome = await worker.parse(sql);
    if (!("tooMuch" in outcome)) return outcome;
    throw outcome.tooMuch === "time" ? tooLong() : tooLarge();
  };
  const work = async (): Promise<void> => {
    if (working) return;
    working = true;
    for (let next = waiting.next(); next !== undefined; next = waiting.next()) {
      const { sql, signal, settle } = next;
      const began = performance.now();
      if (signal.aborted) settle.reject(left());
      else await parseNow(sql).then(settle.resolve, settle.reject);
      // A thread that it has used up is of its own turn.
      await worker.ready();
      waiting.took(next, performance.now() - began);
    }
    working = false;
  };
  return {
    parse: async (sql, { caller, signal }) => {
      const settle = Promise.withResolvers<Parsed>();
      waiting.add({ sql, caller, signal, settle });
      void work();
      return settle.promise;
    },
    [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose](),
  };
}

function tooLong(): HandlerError {
  const message = "The statement takes too long to be parsed: make it shorter.";
  return new HandlerError({ reason: "SQL_INVALID", message });
}

function tooLarge(): HandlerError {
  const message = "The statement is too large or too deeply nested to be judged: send it in parts.";
  return new HandlerError({ reason: "SQL_INVALID", message });
}

function left(): HandlerError {
  const message = "The caller left before the statement was parsed.";
  return new HandlerError({ reason: "CANCELLED_BY_CALLER", outcome: "NOT_COMMITTED", message });
}
