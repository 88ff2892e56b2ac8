// `npm run bench`: what the ways to a database cost, side by side. README.md says what the options do.
import { EmbeddedServerError } from "@tandem/embedded";
import { findRows } from "./find-rows.ts";
import { help, OptionError, parseOptions } from "./options.ts";
import { runBench } from "./run-bench.ts";
import { runSoak } from "./run-soak.ts";

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort(signal));
// Whoever read what we print may be gone before us.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    const options = parseOptions(process.argv.slice(2));
    if (options.only === "help") return print(help);
    const selected = options.soakMs === undefined ? options.rows : (options.rows ?? ["pair/tandem"]);
    const rows = await findRows(selected);
    if (options.only === "list") {
      return print(rows.map(({ name, row }) => `${name.padEnd(26)} ${row.measures}\n`).join(""));
    }
    const run = { rows, options, onProgress: createProgress(), signal: stop.signal };
    const { markdown, files, failed } =
      options.soakMs === undefined ? await runBench(run) : await runSoak({ ...run, soakMs: options.soakMs });
    print(`\n${markdown}\n${files.map((file) => `written: ${file}\n`).join("")}`);
    return failed ? 1 : 0;
  } catch (error) {
    process.stderr.write(`bench: ${describe(error)}\n`);
    return 1;
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

function createProgress(): (line: string) => void {
  const started = performance.now();
  return (line) => {
    const seconds = ((performance.now() - started) / 1_000).toFixed(1);
    process.stderr.write(`bench ${seconds.padStart(7)} s  ${line}\n`);
  };
}

function describe(error: unknown): string {
  if (stop.signal.aborted) return `stopped by ${String(stop.signal.reason)}; nothing was written`;
  if (error instanceof OptionError || error instanceof EmbeddedServerError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
