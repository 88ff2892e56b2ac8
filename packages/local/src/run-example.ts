import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const timeoutMs = 10_000;

/**
 * Runs the README's example against the assistant and prints what it prints. Nothing depends on it: where it
 * fails, that is printed too.
 */
export async function runExample(options: {
  readonly address: string;
  /** Where the gateway's is, as which it calls. */
  readonly certificates: string;
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { address, certificates, print, signal } = options;
  const script = fileURLToPath(new URL("example.ts", import.meta.url));
  const child = spawn(process.execPath, [script, address, certificates], {
    stdio: ["ignore", "pipe", "pipe"],
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
  });
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", print);
  await new Promise<void>((resolve) => {
    child.once("error", () => resolve());
    child.once("close", () => resolve());
  });
}
