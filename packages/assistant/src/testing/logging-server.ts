import { createReadStream } from "node:fs";
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type CrashableServer, runSql, startCrashableServer, waitFor } from "@tandem/testkit";

/** A PostgreSQL server of a test's own that writes down every statement that it executes. */
export interface LoggingServer extends CrashableServer {
  /** What it has logged until now, in order. */
  entries(): AsyncGenerator<LogEntry>;
}

/** A line of PostgreSQL's log, as far as it matters here. */
export interface LogEntry {
  readonly user?: string;
  readonly dbname?: string;
  readonly pid: number;
  /** The command tag of what runs. */
  readonly ps?: string;
  readonly error_severity: string;
  readonly state_code?: string;
  readonly message: string;
}

const settings = {
  logging_collector: "on",
  log_destination: "jsonlog",
  log_filename: "server",
  log_rotation_age: "0",
  log_rotation_size: "0",
  log_statement: "all",
  fsync: "off",
  synchronous_commit: "off",
};

export async function startLoggingServer(): Promise<LoggingServer> {
  const folder = await mkdtemp(join(tmpdir(), "tandem-log-"));
  // The server may run as another user.
  await chmod(folder, 0o777);
  const server = await startCrashableServer({ ...settings, log_directory: folder, log_file_mode: "0644" });
  return {
    ...server,
    async *entries() {
      const mark = `the log until ${performance.now()}`;
      await runSql(server.adminUrl, `SELECT '${mark}'`);
      const file = join(folder, "server.json");
      await waitFor(async () => (await readdir(folder)).includes("server.json"), { describe: "a log" });
      // The collector writes what the backends hand to it in order, and a little later.
      await waitFor(() => holds(file, mark), { describe: "the log to be written", timeoutMs: 60_000 });
      yield* read(file);
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function holds(file: string, mark: string): Promise<boolean> {
  for await (const { message } of read(file)) if (message.includes(mark)) return true;
  return false;
}

async function* read(file: string): AsyncGenerator<LogEntry> {
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    if (line.endsWith("}")) yield JSON.parse(line) as LogEntry;
  }
}
