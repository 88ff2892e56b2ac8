import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { ConnectError } from "./connect-error.ts";
import type { DatabaseAddress } from "./database-url.ts";

/** How to reach a server and how long that may take. */
export interface OpenSocketOptions {
  readonly address: DatabaseAddress;
  /** The authorities to trust with `verify-full`, as PEM; the system's where it isn't given. */
  readonly certificateAuthority?: string;
  readonly timeoutMs: number;
}

// https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-SSLREQUEST
const tlsRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const yes = "S".charCodeAt(0);
const no = "N".charCodeAt(0);
// Authentication, ErrorResponse, NegotiateProtocolVersion: no server of ours begins with anything else.
const firstBytes: ReadonlySet<number> = new Set(["R", "E", "v"].map((letter) => letter.charCodeAt(0)));

/**
 * A connected socket, inside TLS where the address asks for it, ready for the startup message. It fails
 * with a ConnectError. What isn't PostgreSQL, or hangs up without a word, destroys the socket with one as
 * well: `postgres` would connect to it again without end or bound.
 */
export async function openSocket(options: OpenSocketOptions): Promise<Socket> {
  const { address, timeoutMs } = options;
  const place = placeOf(address);
  const target = address.host.startsWith("/")
    ? { path: `${address.host}/.s.PGSQL.${address.port}` }
    : { host: address.host, port: address.port };
  const socket = connect(target);
  const timer = setTimeout(() => socket.destroy(timedOut(place, timeoutMs)), timeoutMs);
  try {
    await settled(socket, "connect");
    const ready = address.tls === "disable" ? socket : await startTls(socket, options);
    refuseStrangers(ready, place);
    return ready;
  } catch (error) {
    socket.destroy();
    throw toConnectError(error, place);
  } finally {
    clearTimeout(timer);
  }
}

/** `host:port`, as a sentence names it. */
export function placeOf({ host, port }: DatabaseAddress): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

async function startTls(socket: Socket, options: OpenSocketOptions): Promise<Socket> {
  const { host, tls: mode } = options.address;
  const place = placeOf(options.address);
  socket.write(tlsRequest);
  const [answer] = await settled<[Buffer]>(socket, "data");
  if (answer[0] === no) {
    const message = `PostgreSQL at ${place} offers no TLS, and sslmode=${mode} asks for it.`;
    throw new ConnectError({ failure: "TLS_NOT_OFFERED", message });
  }
  // More than the one byte was sent by somebody in between, to be taken for the server's after the handshake.
  if (answer[0] !== yes || answer.length !== 1) throw notPostgresql(place);
  const secure = connectTls({
    socket,
    rejectUnauthorized: mode === "verify-full",
    ...(isIP(host) === 0 ? { servername: host } : { host }),
    ...(options.certificateAuthority === undefined ? {} : { ca: options.certificateAuthority }),
  });
  // The timer and the network speak through the socket below, which has no listener otherwise.
  socket.on("error", (error) => secure.destroy(error));
  try {
    await settled(secure, "secureConnect");
  } catch (cause) {
    if (cause instanceof ConnectError) throw cause;
    const message = `TLS with PostgreSQL at ${place} failed (${codeOf(cause)}): look at its certificate.`;
    throw new ConnectError({ failure: "TLS_FAILED", message, cause });
  }
  return secure;
}

function refuseStrangers(socket: Socket, place: string): void {
  const onData = (chunk: Buffer): void => {
    socket.off("end", onEnd);
    if (!firstBytes.has(chunk[0] ?? 0)) socket.destroy(notPostgresql(place));
  };
  const onEnd = (): void => {
    socket.off("data", onData);
    socket.destroy(hungUp(place));
  };
  socket.once("end", onEnd);
  // Nothing can arrive before the startup message is sent, so that reading on here loses nothing.
  socket.once("data", onData);
}

function settled<T extends unknown[] = []>(socket: Socket, event: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void): void => {
      for (const [name, listener] of Object.entries(listeners)) socket.off(name, listener);
      settle();
    };
    const listeners = {
      [event]: (...values: T) => done(() => resolve(values)),
      error: (error: Error) => done(() => reject(error)),
      close: () => done(() => reject(socket.errored ?? new Error("closed"))),
      end: () => done(() => reject(new Error("closed"))),
    };
    for (const [name, listener] of Object.entries(listeners)) socket.on(name, listener);
  });
}

function toConnectError(error: unknown, place: string): ConnectError {
  if (error instanceof ConnectError) return error;
  const code = codeOf(error);
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    const message = `The host of ${place} has no address that can be found.`;
    return new ConnectError({ failure: "HOST_NOT_FOUND", message, cause: error });
  }
  if (code === "ECONNREFUSED" || code === "ENOENT") {
    const message = `Nothing listens at ${place}: is PostgreSQL running there?`;
    return new ConnectError({ failure: "REFUSED", message, cause: error });
  }
  if (code === "closed" || code === "ECONNRESET" || code === "EPIPE") return hungUp(place, error);
  const message = `${place} can't be reached (${code}).`;
  return new ConnectError({ failure: "REFUSED", message, cause: error });
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return "no error";
  const code: unknown = Reflect.get(error, "code");
  return typeof code === "string" ? code : error.message;
}

/** The error of whoever waited so long for an answer from there. */
export function timedOut(place: string, timeoutMs: number): ConnectError {
  return new ConnectError({
    failure: "TIMED_OUT",
    message: `${place} did not answer within ${timeoutMs} ms.`,
  });
}

function notPostgresql(place: string): ConnectError {
  return new ConnectError({
    failure: "NOT_POSTGRESQL",
    message: `What listens at ${place} is not PostgreSQL.`,
  });
}

function hungUp(place: string, cause?: unknown): ConnectError {
  const message = `${place} accepted the connection and closed it without a word: is PostgreSQL there and up?`;
  return new ConnectError({ failure: "CLOSED", message, cause });
}
