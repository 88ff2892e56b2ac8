import { unlessAborted } from "@tandem/rpc";
import type { Socket } from "node:net";
import postgres from "postgres";
import { ConnectError } from "./connect-error.ts";
import { ConnectionLostError } from "./connection-lost-error.ts";
import type { DatabaseAddress } from "./database-url.ts";
import { recogniseError } from "./foreign-error.ts";
import { postgresLimits } from "./limits.ts";
import { openSocket, placeOf, timedOut } from "./open-socket.ts";
import { arrayTypesStatement, keepDatesAsText, readArrays } from "./value-types.ts";

/** A message that PostgreSQL sends beside a result: its severity, and its text. */
export interface Notice {
  readonly severity: string;
  readonly message: string;
}

export interface ConnectionOptions {
  readonly address: DatabaseAddress;
  readonly applicationName: string;
  /** For the network and, again, for what PostgreSQL needs to let the role in. */
  readonly connectTimeoutMs: number;
  readonly certificateAuthority?: string;
  readonly preparedStatements: boolean;
  /** Settings of PostgreSQL that the session starts with; "0" is a value. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly onNotice: (notice: Notice) => void;
  /** Destroys the connection whenever it is aborted. */
  readonly signal?: AbortSignal;
}

/** One statement, and the values of its `$1`, `$2`, …: PostgreSQL refuses a text of several. */
export interface Statement {
  readonly text: string;
  readonly values?: readonly unknown[];
  /** Whether the connection keeps it prepared, by its text. */
  readonly prepare?: boolean;
  /** Each row as the list of its columns, instead of an object by their names. */
  readonly rowsAsArrays?: boolean;
}

/** Statements without values that are sent in one message. */
export interface Script {
  readonly script: string;
}

/** The rows; `command` is the tag without its count: "COMMIT" and "ROLLBACK" tell an end from the other. */
export type ResultRows = readonly Readonly<Record<string, unknown>>[] & {
  readonly count: number;
  readonly command: string;
};

/**
 * One connection, for one statement at a time: whoever has it sees to that. It fails for good when it is lost,
 * and there is no second behind it.
 */
export interface Connection {
  readonly openedAt: number;
  /** Aborted when it is lost. */
  readonly lost: AbortSignal;
  /**
   * Where no answer comes within the bound the connection is destroyed: PostgreSQL's own timeouts are of no use
   * on a link that has gone silent. So it is on every error but PostgreSQL's verdict on the statement.
   */
  run(statement: Statement | Script, bound?: { readonly answerTimeoutMs: number }): Promise<ResultRows>;
  /** Ends it where it stands; PostgreSQL rolls back what is open, within a second of noticing. */
  destroy(): void;
  /** Takes leave of PostgreSQL, within a bound, and ends it. */
  close(): Promise<void>;
}

/**
 * Opens a connection on a client of `postgres` that never makes another and is given nothing that it would queue
 * or pipeline; docs/decisions/0015 says which failures of it that avoids. Fails with a ConnectError or with
 * what PostgreSQL says.
 */
export async function openConnection(options: ConnectionOptions): Promise<Connection> {
  const { address, connectTimeoutMs: timeoutMs, certificateAuthority, signal } = options;
  const authority = certificateAuthority === undefined ? {} : { certificateAuthority };
  const socket = await openSocket({ address, timeoutMs, ...authority });
  const connection = createConnection(socket, options);
  signal?.addEventListener("abort", () => connection.destroy(), { once: true, signal: connection.lost });
  if (signal?.aborted === true) connection.destroy();
  const late = setTimeout(() => connection.lose(timedOut(placeOf(address), timeoutMs)), timeoutMs);
  try {
    // Also the proof that the role is let in, so that no other statement ever carries that question.
    readArrays(connection.types, await connection.run({ text: arrayTypesStatement }));
  } catch (error) {
    connection.destroy();
    throw error;
  } finally {
    clearTimeout(late);
  }
  return connection;
}

interface NewConnection extends Connection {
  readonly types: Parameters<typeof readArrays>[0];
  lose(cause: unknown): void;
}

function createConnection(socket: Socket, options: ConnectionOptions): NewConnection {
  const ended = new AbortController();
  const lose = (cause?: unknown): void => {
    const refused = cause instanceof ConnectError;
    ended.abort(refused ? cause : new ConnectionLostError({ sent: "maybe", cause }));
    socket.destroy();
  };
  // Before the listeners of `postgres`, which never answers a statement that comes between two of these events.
  socket.on("error", lose);
  for (const event of ["end", "close"]) socket.on(event, () => lose());
  const client = createClient(socket, options);
  return {
    openedAt: performance.now(),
    lost: ended.signal,
    types: client.options,
    lose,
    run: async (statement, { answerTimeoutMs } = { answerTimeoutMs: postgresLimits.answerTimeoutMs }) => {
      if (ended.signal.aborted) throw new ConnectionLostError({ sent: "no", cause: ended.signal.reason });
      const silent = (): void => lose(new Error(`PostgreSQL did not answer within ${answerTimeoutMs} ms.`));
      const silence = setTimeout(silent, answerTimeoutMs);
      try {
        return withoutHoles(await unlessAborted(send(client, statement), ended.signal));
      } catch (error) {
        const found = recogniseError(error);
        if (found?.kind !== "server" || found.severity !== "ERROR") lose(error);
        throw error;
      } finally {
        clearTimeout(silence);
      }
    },
    destroy: () => lose(),
    close: async () => {
      if (ended.signal.aborted) return;
      await client.end({ timeout: postgresLimits.goodbyeTimeoutMs / 1_000 });
      lose();
    },
  };
}

type Client = postgres.Sql<{ int8: bigint }>;

function send(client: Client, statement: Statement | Script): PromiseLike<ResultRows> {
  if ("script" in statement) return client.unsafe(statement.script);
  const { text, values = [], prepare = false, rowsAsArrays = false } = statement;
  // `simple: false` is in no type and in the sources of `postgres`; without it a text may hold several statements.
  const oneStatement: { prepare: boolean; simple: boolean } = { prepare, simple: false };
  // What can't be sent, `postgres` refuses.
  const parameters = [...values] as postgres.ParameterOrJSON<bigint>[];
  const query = client.unsafe<Record<string, unknown>[]>(text, parameters, oneStatement);
  // Whoever asks for lists reads them as such.
  return rowsAsArrays ? (query.values() as PromiseLike<unknown> as PromiseLike<ResultRows>) : query;
}

// Behind a statement that failed after its first rows, `postgres` leaves as many places of the next result empty:
// https://github.com/porsager/postgres/issues/1181
function withoutHoles(rows: ResultRows): ResultRows {
  const first = rows.findIndex((row) => row !== undefined);
  if (first > 0) (rows as unknown as unknown[]).splice(0, first);
  return rows;
}

interface OptionsWithSocket extends postgres.Options<{ int8: postgres.PostgresType<bigint> }> {
  // Documented by `postgres`, missing from its types.
  readonly socket: () => Socket;
}

function createClient(socket: Socket, options: ConnectionOptions): Client {
  const { address } = options;
  const unused = [socket];
  const settings: OptionsWithSocket = {
    socket: () => {
      const only = unused.pop();
      if (only === undefined) throw new ConnectionLostError({ sent: "no" });
      return only;
    },
    host: address.host,
    port: address.port,
    database: address.database,
    username: address.role,
    password: address.password,
    connection: {
      ...options.parameters,
      application_name: options.applicationName,
      DateStyle: "ISO, YMD",
      TimeZone: "UTC",
    },
    max: 1,
    prepare: options.preparedStatements,
    onnotice: ({ severity = "NOTICE", message = "" }) => options.onNotice({ severity, message }),
    types: { int8: postgres.BigInt },
    // Where it is on, an error of that query is one that nobody can catch: it ends the process.
    fetch_types: false,
    // Said although they are the defaults, or nothing: what is left out, `postgres` reads from the environment.
    connect_timeout: 0,
    idle_timeout: undefined,
    max_lifetime: null,
    ssl: false,
    keep_alive: 60,
    debug: false,
  };
  const client = postgres(settings);
  keepDatesAsText(client.options);
  return client;
}
