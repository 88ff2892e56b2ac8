import { ConnectError } from "./connect-error.ts";

/**
 * `disable`: plaintext. `require`: TLS, whoever the server is. `verify-full`: TLS, and the certificate must
 * be the host's and come from an authority that is trusted.
 */
export type TlsMode = "disable" | "require" | "verify-full";

/** Where a database is and who asks for it. */
export interface DatabaseAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly role: string;
  readonly password: string;
  readonly tls: TlsMode;
}

/**
 * Reads `postgresql://role:password@host:5432/database?sslmode=verify-full`. One host; `sslmode` is the only
 * option (absent: `disable`), because everything else is set by the code. Nothing is taken from the
 * environment. Throws a ConnectError that says what is wrong without repeating the URL.
 */
export function parseDatabaseUrl(text: string): DatabaseAddress {
  if (!URL.canParse(text)) throw invalid("it can't be read");
  const url = new URL(text);
  if (url.protocol !== "postgres:" && url.protocol !== "postgresql:") {
    throw invalid("it doesn't begin with postgresql://");
  }
  const address = {
    // An IPv6 address stands in brackets in a URL, and nowhere else.
    host: decode(url.hostname.replace(/^\[(.*)\]$/, "$1")),
    port: url.port === "" ? 5432 : Number(url.port),
    database: decode(url.pathname.slice(1)),
    role: decode(url.username),
    password: decode(url.password),
    tls: parseTlsMode(url.searchParams),
  };
  for (const part of ["host", "database", "role"] as const) {
    if (address[part] === "") throw invalid(`it names no ${part}`);
  }
  if (address.host.includes(",")) throw invalid("it names several hosts, and one is expected");
  return address;
}

/** The same server and role, another database. */
export function withDatabase(url: string, database: string): string {
  parseDatabaseUrl(url);
  const changed = new URL(url);
  changed.pathname = `/${encodeURIComponent(database)}`;
  return changed.href;
}

function parseTlsMode(parameters: URLSearchParams): TlsMode {
  for (const [name, value] of parameters) {
    if (name !== "sslmode") throw invalid(`it has an option "${name}", and sslmode is the only one`);
    if (value === "disable" || value === "require" || value === "verify-full") return value;
    throw invalid("its sslmode is none of disable, require, verify-full");
  }
  return "disable";
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw invalid("a percent sign in it is not followed by two hexadecimal digits", cause);
  }
}

function invalid(problem: string, cause?: unknown): ConnectError {
  const message = `The database's URL is not valid: ${problem}. It looks like postgresql://role:password@host:5432/database.`;
  return new ConnectError({ failure: "INVALID_URL", message, cause });
}
