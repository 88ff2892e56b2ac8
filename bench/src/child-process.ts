import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** A process of the bench's own that answers one question at a time. */
export interface Child extends AsyncDisposable {
  /** Rejects with what the child says went wrong, or where it ends or takes longer. */
  ask(question: object, options: { readonly timeoutMs: number }): Promise<unknown>;
}

type Answer = { readonly answer: unknown } | { readonly error: string };

const STOP_MS = 5_000;

export interface ChildOptions {
  readonly args?: readonly string[];
  /** Of Node and V8, before the file. */
  readonly flags?: readonly string[];
}

/** Runs a file of this package. What the child prints goes where this process prints. */
export function startChild(file: URL, { args = [], flags = [] }: ChildOptions = {}): Child {
  const path = fileURLToPath(file);
  const child = spawn(process.execPath, [...flags, path, ...args], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const exited = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  return {
    ask: async (question, { timeoutMs }) => {
      const late = AbortSignal.timeout(Math.ceil(timeoutMs));
      const answered = Promise.withResolvers<unknown>();
      const fail = (why: string): void => answered.reject(new Error(`${path}: ${why}`));
      const onMessage = (message: Answer): void =>
        "error" in message ? fail(message.error) : answered.resolve(message.answer);
      const onLate = (): void => fail(`no answer within ${timeoutMs} ms`);
      child.once("message", onMessage);
      late.addEventListener("abort", onLate);
      void exited.then((how) => fail(`it ended (${how})`));
      try {
        // Where it has ended, that is the answer.
        if (child.connected) child.send(question, (error) => error && fail(error.message));
        return await answered.promise;
      } finally {
        child.off("message", onMessage);
        late.removeEventListener("abort", onLate);
      }
    },
    [Symbol.asyncDispose]: () => stop(child, exited),
  };
}

async function stop(child: ChildProcess, exited: Promise<string>): Promise<void> {
  const tooLong = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  if (child.connected) child.disconnect();
  await exited;
  clearTimeout(tooLong);
}

/**
 * To be called by the child, once. It ends when the process that started it does, or lets go of it, and not by a
 * Ctrl-C that reaches both.
 */
export function answerParent(answer: (question: unknown) => Promise<unknown>): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
  process.on("disconnect", () => process.exit(0));
  const tell = (message: Answer): void => void process.send?.(message);
  process.on("message", (question) => {
    answer(question).then(
      (given) => tell({ answer: given }),
      (error: unknown) =>
        tell({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
}
