import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrationsFolders } from "@tandem/assistant/migrations";
import { type EmbeddedServer, startEmbeddedServer } from "@tandem/embedded";
import { assistantDatabase, bootstrapCluster, migrate } from "@tandem/postgres";
import postgres from "postgres";
import type { Workload } from "../workloads/workload.ts";
import { adminUrlOf, passwordsOf, roleUrl } from "./roles.ts";

/** A PostgreSQL of the bench's own, with the assistant's database. */
export interface BenchDatabase extends AsyncDisposable {
  readonly server: EmbeddedServer;
  /** For files of the run; deleted with it. */
  readonly folder: string;
  urlOf(role: "owner" | "app" | "dbproxy"): string;
  /** Makes a workload's tables and opens them to both roles. */
  define(workload: Workload): Promise<void>;
  /** Puts the tables in the state in which a server that has run for a while has them. */
  settle(): Promise<void>;
}

// Every row that talks to the database itself keeps its pool open, and every service its own.
const MAX_CONNECTIONS = "600";

/**
 * Starts one in a temporary folder, durable as PostgreSQL is by default: fsync is on. Nothing else is set than
 * the number of connections and what is asked for.
 */
export async function startDatabase(options: {
  readonly synchronousCommit: "on" | "off";
  readonly onProgress: (line: string) => void;
  readonly signal: AbortSignal;
}): Promise<BenchDatabase> {
  await using parts = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "tandem-bench-"));
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  // The server may have to run as another user, who must get through to its data.
  await chmod(folder, 0o711);
  const { synchronousCommit, onProgress, signal } = options;
  const server = await startEmbeddedServer({
    dataFolder: join(folder, "postgres"),
    settings: { max_connections: MAX_CONNECTIONS, synchronous_commit: synchronousCommit },
    onProgress,
    signal,
  });
  parts.defer(async () => {
    await server.stop();
    await rm(server.dataFolder, { recursive: true, force: true });
  });
  const passwords = passwordsOf(assistantDatabase);
  await bootstrapCluster({ adminUrl: server.adminUrl, databases: [assistantDatabase], passwords, signal });
  const { roles } = assistantDatabase;
  const urlOf = (role: "owner" | "app" | "dbproxy"): string =>
    roleUrl(server.adminUrl, assistantDatabase, role);
  await migrate({ url: urlOf("owner"), folders: migrationsFolders() });
  await run(urlOf("app"), ["SELECT tandem.keep_receipts('24 hours')"]);
  const adminUrl = adminUrlOf(server.adminUrl, assistantDatabase);
  const running = parts.move();
  return {
    server,
    folder,
    urlOf,
    define: async ({ define }) => {
      const grant = `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${roles.app}, ${roles.dbproxy}`;
      await run(urlOf("owner"), [...define, grant]);
    },
    settle: () => run(adminUrl, ["VACUUM ANALYZE", "CHECKPOINT"]),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function run(url: string, statements: readonly string[]): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    for (const statement of statements) await sql.unsafe(statement);
  } finally {
    await sql.end({ timeout: 1 });
  }
}
