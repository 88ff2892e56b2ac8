import { Duplex } from "node:stream";
import type { Socket } from "node:net";
import postgres from "postgres";
import type { DatabaseAddress } from "./database-url.ts";
import { openSocket } from "./open-socket.ts";

/** A message that PostgreSQL sends beside a result: its severity, and its text. */
export interface Notice {
  readonly severity: string;
  readonly message: string;
}

/** How the driver is set up, for a pool and for a single session. */
export interface DriverOptions {
  readonly address: DatabaseAddress;
  readonly applicationName: string;
  readonly connectTimeoutMs: number;
  readonly certificateAuthority?: string;
  readonly poolSize: number;
  readonly preparedStatements: boolean;
  /** Undefined: for as long as both ends live. */
  readonly connectionLifetimeMs: number | undefined;
  /** Settings of PostgreSQL that each connection starts with; "0" is a value. */
  readonly parameters: Readonly<Record<string, string>>;
  /** How many connections may be made altogether, the first included. */
  readonly maxConnects: number;
  readonly onNotice: (notice: Notice) => void;
}

/** The client of `postgres` and what it can't do itself. */
export interface Driver {
  readonly client: postgres.Sql<{ int8: bigint }>;
  /** Ends it: running statements have `timeoutMs`, then every socket is destroyed. */
  close(timeoutMs: number): Promise<void>;
}

interface OptionsWithSocket extends postgres.Options<{ int8: postgres.PostgresType<bigint> }> {
  // Documented by `postgres`, missing from its types.
  readonly socket: () => Promise<Duplex>;
}

/** A client of `postgres` that takes nothing from the environment and fails with plain sentences. */
export function createDriver(options: DriverOptions): Driver {
  const { address } = options;
  const sockets = new Set<Socket>();
  let connects = 0;
  let closing = false;
  const socket = async (): Promise<Duplex> => {
    try {
      // Once it is ending, `postgres` still opens a connection for a query that waited in its queue, and keeps it.
      if (closing || ++connects > options.maxConnects) throw new SessionLostError();
      const { connectTimeoutMs: timeoutMs, certificateAuthority } = options;
      const opened = await openSocket({
        address,
        timeoutMs,
        ...(certificateAuthority === undefined ? {} : { certificateAuthority }),
      });
      if (closing) opened.destroy();
      sockets.add(opened);
      opened.once("close", () => sockets.delete(opened));
      return opened;
    } catch (error) {
      return failingSocket(error);
    }
  };
  const settings: OptionsWithSocket = {
    socket,
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
    max: options.poolSize,
    prepare: options.preparedStatements,
    connect_timeout: options.connectTimeoutMs / 1_000,
    max_lifetime: options.connectionLifetimeMs === undefined ? null : options.connectionLifetimeMs / 1_000,
    onnotice: ({ severity = "NOTICE", message = "" }) => options.onNotice({ severity, message }),
    types: { int8: postgres.BigInt },
    // Said although they are the defaults: what is left out, `postgres` reads from the environment.
    ssl: false,
    idle_timeout: undefined,
    keep_alive: 60,
    debug: false,
    fetch_types: true,
  };
  const client = postgres(settings);
  keepDatesAsText(client.options);
  const close = async (timeoutMs: number): Promise<void> => {
    closing = true;
    await client.end({ timeout: timeoutMs / 1_000 });
    for (const open of sockets) open.destroy();
  };
  return { client, close };
}

/** There is no connection, and there won't be another: the session is over, or the pool is closing. */
export class SessionLostError extends Error {
  override readonly name = "SessionLostError";
  // As `postgres` itself says it of a pool that has ended: no statement was sent.
  readonly code = "CONNECTION_ENDED";

  constructor() {
    super("The connection is gone, and no other is made.");
  }
}

/**
 * Dates and times come and go as PostgreSQL's text (ISO, UTC): a Date has milliseconds where PostgreSQL has
 * microseconds, and no infinity. A Date is taken as a parameter all the same. JSON that is text already is
 * sent as it is. drizzle overwrites these in part, with functions that fail on a Date.
 */
export function keepDatesAsText({
  parsers,
  serializers,
}: Pick<postgres.ParsedOptions, "parsers" | "serializers">): void {
  for (const type of [1082, 1114, 1184]) {
    parsers[type] = (text: unknown) => text;
    serializers[type] = (value: unknown) => (value instanceof Date ? value.toISOString() : value);
  }
  for (const type of [114, 3802]) {
    serializers[type] = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  }
}

// `postgres` loses a connection of its pool for good when the function that opens sockets fails, and hangs
// when a socket closes before the startup message is written. So it gets one that fails on the first write.
function failingSocket(error: unknown): Duplex {
  const reason =
    error instanceof Error ? error : new Error("The socket could not be opened.", { cause: error });
  return new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, callback) => callback(reason),
  });
}
