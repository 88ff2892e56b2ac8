import { ConnectError } from "./connect-error.ts";
import type { DatabaseAddress } from "./database-url.ts";
import { recogniseError } from "./foreign-error.ts";
import { postgresLimits } from "./limits.ts";
import { placeOf } from "./open-socket.ts";

/** What a server says of itself. */
export interface ServerInfo {
  /** For example "18.4". */
  readonly version: string;
  /** Whether it is a standby: it answers, and refuses every write. */
  readonly standby: boolean;
}

/** The statement whose single row `parseServerInfo` reads. */
export const serverInfoStatement =
  "select current_setting('server_version_num')::int4 as number, pg_catalog.pg_is_in_recovery() as standby";

/** Reads the row; throws a ConnectError where the server is older than what is supported. */
export function parseServerInfo(row: Readonly<Record<string, unknown>> | undefined): ServerInfo {
  const number = Number(row?.["number"]);
  const major = Math.floor(number / 10_000);
  const version = `${major}.${number % 10_000}`;
  if (major >= postgresLimits.minServerVersion) return { version, standby: row?.["standby"] === true };
  const message = `PostgreSQL ${postgresLimits.minServerVersion} or newer is needed, this is ${version}.`;
  throw new ConnectError({ failure: "SERVER_TOO_OLD", message });
}

/** What kept a session from coming about, as a plain sentence for whoever runs the service. */
export function toConnectError(thrown: unknown, address: DatabaseAddress): ConnectError {
  const found = recogniseError(thrown);
  const cause = found?.error ?? thrown;
  if (cause instanceof ConnectError) return cause;
  const place = placeOf(address);
  const { role, database } = address;
  if (found === undefined) {
    const problem = thrown instanceof Error ? thrown.message : "unknown error";
    return new ConnectError({
      failure: "FAILED",
      message: `${place} could not be asked: ${problem}.`,
      cause,
    });
  }
  if (found.kind === "connection") {
    const message = `PostgreSQL at ${place} did not answer, or the connection was lost.`;
    return new ConnectError({
      failure: codeOf(found.error) === "CONNECT_TIMEOUT" ? "TIMED_OUT" : "CLOSED",
      message,
      cause,
    });
  }
  const failed = (failure: ConnectError["failure"], message: string): ConnectError =>
    new ConnectError({ failure, message, cause });
  const said = found.error.message;
  switch (found.sqlstate) {
    case "28P01":
      return failed("WRONG_PASSWORD", `PostgreSQL at ${place} refuses the password of role "${role}".`);
    case "3D000":
      return failed("NO_SUCH_DATABASE", `PostgreSQL at ${place} has no database "${database}".`);
    case "28000":
    case "42501":
      return failed(
        "NOT_ADMITTED",
        `PostgreSQL at ${place} does not let role "${role}" into database "${database}": ${said}.${found.sqlstate === "28000" ? tlsAdvice(address) : ""}`,
      );
    case "57P01":
    case "57P02":
    case "57P03":
      return failed("STARTING", `PostgreSQL at ${place} is starting or stopping: ${said}.`);
    case "53300":
      return failed("TOO_MANY_CONNECTIONS", `PostgreSQL at ${place} accepts no more connections: ${said}.`);
    default:
      return failed("FAILED", `PostgreSQL at ${place} refuses to work for role "${role}": ${said}.`);
  }
}

function tlsAdvice(address: DatabaseAddress): string {
  if (address.tls !== "disable") return "";
  return " If it wants TLS, add ?sslmode=require or ?sslmode=verify-full to the URL.";
}

function codeOf(error: Error): unknown {
  return Reflect.get(error, "code");
}
