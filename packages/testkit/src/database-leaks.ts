import postgres from "postgres";
import { waitFor } from "./wait-for.ts";

/** How long what is ending may take to end. */
export interface DatabaseLeakOptions {
  readonly timeoutMs?: number;
}

interface Backend {
  readonly pid: number;
  readonly state: string | null;
  readonly application: string;
  readonly query: string;
  readonly inTransaction: boolean;
}

/**
 * Waits until no transaction is open in a database, whoever began it.
 *
 * @param url a connection string of that database, of a role that may see the others' activity
 * @throws Error with a sentence that names each of them when the time is up
 */
export async function expectNoOpenTransactions(
  url: string,
  options: DatabaseLeakOptions = {},
): Promise<void> {
  await expectNone(url, {
    ...options,
    what: "an open transaction",
    concerns: (backend) => backend.inTransaction,
  });
}

/**
 * Waits until nobody else is connected to a database: the end of a suite that has closed its pools.
 *
 * @param url a connection string of that database, of a role that may see the others' activity
 * @throws Error with a sentence that names each connection when the time is up
 */
export async function expectNoBackends(url: string, options: DatabaseLeakOptions = {}): Promise<void> {
  await expectNone(url, { ...options, what: "a connection", concerns: () => true });
}

async function expectNone(
  url: string,
  options: DatabaseLeakOptions & { readonly what: string; readonly concerns: (backend: Backend) => boolean },
): Promise<void> {
  const { what, concerns, timeoutMs = 2_000 } = options;
  const sql = postgres(url, { max: 1, fetch_types: false });
  let found: Backend[] = [];
  try {
    await waitFor(
      async () => {
        found = (await findBackends(sql)).filter(concerns);
        return found.length === 0;
      },
      { describe: `the database to be without ${what}`, timeoutMs },
    );
  } catch (error) {
    if (found.length === 0) throw error;
    throw new Error(
      `The database still has ${what} after ${timeoutMs / 1000} s: ${found.map(describe).join("; ")}.`,
      { cause: error },
    );
  } finally {
    await sql.end();
  }
}

async function findBackends(sql: postgres.Sql): Promise<Backend[]> {
  return sql<Backend[]>`
    SELECT pid, state, application_name AS application, left(query, 200) AS query,
           xact_start IS NOT NULL AS "inTransaction"
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`;
}

function describe({ pid, state, application, query }: Backend): string {
  return `process ${pid} (${application || "unnamed"}, ${state ?? "unknown"}), last: ${query.trim() || "nothing"}`;
}
