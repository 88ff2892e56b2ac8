import { openConnection } from "./connection.ts";
import { parseDatabaseUrl } from "./database-url.ts";
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
  const { url, applicationName, parameters, signal } = options;
  signal?.throwIfAborted();
  const address = parseDatabaseUrl(url);
  const opening = openConnection({
    address,
    applicationName,
    connectTimeoutMs: postgresLimits.connectTimeoutMs,
    preparedStatements: false,
    parameters: { search_path: "public, pg_temp", ...parameters },
    onNotice: () => undefined,
    ...(signal === undefined ? {} : { signal }),
  });
  const toFailure = (error: unknown): never => {
    signal?.throwIfAborted();
    throw toConnectError(error, address);
  };
  const connection = await opening.catch(toFailure);
  const session: Session = {
    run: async (text, values = [], bound = { answerTimeoutMs: postgresLimits.answerTimeoutMs }) => {
      const rows = await connection.run({ text, values }, bound);
      return { rows, command: rows.command };
    },
  };
  try {
    const { rows } = await session.run(serverInfoStatement).catch(toFailure);
    parseServerInfo(rows[0]);
    return await body(session);
  } finally {
    await connection.close();
  }
}
