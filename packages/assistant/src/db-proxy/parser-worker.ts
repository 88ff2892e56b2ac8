import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Parsed, ParserAnswer } from "./statement-parser-thread.ts";

/** The parser's thread, and the next one where it had to be ended. One text is given to it at a time. */
export interface ParserWorker extends AsyncDisposable {
  /** Fails only where no thread can be started. */
  parse(sql: string): Promise<Outcome>;
  /** Waits for the thread that takes another's place. */
  ready(): Promise<void>;
}

/** What became of a text; what takes too much is given up, with the thread. */
export type Outcome = Parsed | { readonly tooMuch: "time" | "memory" };

// What PostgreSQL would run of 64 KiB takes up to 60 ms. Of the processor's time, so that a busy machine refuses nothing.
const MAX_PARSE_CPU_MS = 250;
const MAX_PARSE_MS = 1_000;
const LOOK_EVERY_MS = 25;
// A thread keeps the most that any text took of it, six bytes or so for each character of the tree.
const MAX_KEPT_TREE = 1024 * 1024;
const START_MS = 10_000;
const MAX_HEAP_MB = 256;

interface Running {
  readonly thread: Worker;
  /** What the thread has had of the processor until now. */
  cpuMs: number;
}

/** Fails where the thread can't be started. */
export async function startParserWorker(): Promise<ParserWorker> {
  let running: Promise<Running> | undefined = start();
  await running;
  const replace = async ({ thread }: Running): Promise<void> => {
    await thread.terminate();
    running = start();
    // The next text finds out, and starts another.
    running.catch(() => (running = undefined));
  };
  return {
    parse: async (sql) => {
      running ??= start();
      const current = await running;
      const answer = await ask(current, sql);
      if ("tooMuch" in answer) {
        await replace(current);
        return answer;
      }
      if (answer.spent || answer.treeLength > MAX_KEPT_TREE) await replace(current);
      else current.cpuMs = answer.cpuMs;
      return answer.parsed;
    },
    ready: async () => {
      // That there is none the next text finds out.
      await running?.catch(() => undefined);
    },
    [Symbol.asyncDispose]: async () => {
      const last = await running?.catch(() => undefined);
      await last?.thread.terminate();
    },
  };
}

async function start(): Promise<Running> {
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
  return { thread, cpuMs: await cpuMsOf(thread) };
}

async function ask(
  { thread, cpuMs }: Running,
  sql: string,
): Promise<ParserAnswer | { tooMuch: "time" | "memory" }> {
  const patience = new AbortController();
  const timeUp = AbortSignal.any([patience.signal, AbortSignal.timeout(MAX_PARSE_MS)]);
  const look = async (): Promise<void> => {
    // A thread that is no more can't be asked; whoever waits for its answer hears of it.
    const usedMs = await cpuMsOf(thread).catch(() => cpuMs);
    if (usedMs - cpuMs > MAX_PARSE_CPU_MS) patience.abort();
  };
  const looking = setInterval(() => void look(), LOOK_EVERY_MS);
  try {
    const answered = once(thread, "message", { signal: timeUp });
    thread.postMessage(sql, []);
    const [answer] = (await answered) as [ParserAnswer];
    return answer;
  } catch {
    // Other than for the time it ends when its memory is full.
    return { tooMuch: timeUp.aborted ? "time" : "memory" };
  } finally {
    clearInterval(looking);
  }
}

async function cpuMsOf(thread: Worker): Promise<number> {
  const { user, system } = await thread.cpuUsage();
  return (user + system) / 1_000;
}
