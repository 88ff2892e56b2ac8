import { parseDatabaseUrl } from "./database-url.ts";
import { createDriver, type Driver } from "./driver.ts";
import { postgresLimits } from "./limits.ts";
import { parseServerInfo, serverInfoStatement, toConnectError } from "./server-check.ts";

export interface SessionOptions {
  readonly url: string;
  readonly applicationName: string;
  /** Settings of PostgreSQL that the session starts with. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Ends the session where it stands; PostgreSQL rolls back what is open. */
  readonly signal?: AbortSignal;
}

/** What a statement came to. */
export interface StatementResult {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** The command tag without its count: "COMMIT" and "ROLLBACK" tell an end from the other. */
  readonly command: string;
}

/** One connection, used by one task. When it is lost, whatever is run on it fails: there is no second. */
export interface Session {
  /**
   * Exactly one statement: PostgreSQL refuses a text of several. Where no answer comes within the bound, the
   * link is taken for dead: PostgreSQL's own timeouts are of no use on one that has gone silent.
   */
  run(
    statement: string,
    values?: readonly (string | number)[],
    bound?: { readonly answerTimeoutMs: number },
  ): Promise<StatementResult>;
}

/**
 * Gives `body` a session of its own on a server that is new enough, and ends it afterwards, whatever came
 * of it. Fails with a ConnectError where the session does not come about, else as `body` does.
 */
export async function withSession<T>(
  options: SessionOptions,
  body: (session: Session) => Promise<T>,
): Promise<T> {
  options.signal?.throwIfAborted();
  const address = parseDatabaseUrl(options.url);
  const driver = createDriver({
    address,
    applicationName: options.applicationName,
    connectTimeoutMs: postgresLimits.connectTimeoutMs,
    poolSize: 1,
    preparedStatements: false,
    connectionLifetimeMs: undefined,
    parameters: { search_path: "public, pg_temp", ...options.parameters },
    // Otherwise `postgres` would go on behind the scenes, outside the transaction and without the lock.
    maxConnects: 1,
    onNotice: () => undefined,
  });
  const abort = (): void => void driver.close(0);
  options.signal?.addEventListener("abort", abort, { once: true });
  const session: Session = {
    run: async (
      statement,
      values = [],
      { answerTimeoutMs } = { answerTimeoutMs: postgresLimits.answerTimeoutMs },
    ) => {
      // Ending the connection ends the statement that waits for it, with an error that says so.
      const silence = setTimeout(abort, answerTimeoutMs);
      return run(driver, statement, values).finally(() => clearTimeout(silence));
    },
  };
  try {
    const { rows } = await session.run(serverInfoStatement).catch((error: unknown) => {
      options.signal?.throwIfAborted();
      throw toConnectError(error, address);
    });
    parseServerInfo(rows[0]);
    return await body(session);
  } finally {
    options.signal?.removeEventListener("abort", abort);
    await driver.close(0);
  }
}

async function run(
  { client }: Driver,
  statement: string,
  values: readonly (string | number)[],
): Promise<StatementResult> {
  // `simple: false` is in no type and in the sources of `postgres`; without it a text may hold several statements.
  const oneStatement: { prepare: boolean; simple: boolean } = { prepare: false, simple: false };
  const result = await client.unsafe<Record<string, unknown>[]>(statement, [...values], oneStatement);
  return { rows: result, command: result.command };
}
