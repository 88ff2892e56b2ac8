import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";

/** Speaks gRPC byte by byte: what no client library sends, and without the work that one would do for it. */
export interface RawGrpcClient {
  readonly session: ClientHttp2Session;
  /** Sends a call's headers; what else is sent is up to the test. */
  open(path: string, headers?: OutgoingHttpHeaders): RawGrpcCall;
  /** Sends a whole request. */
  send(path: string, body: Uint8Array, headers?: OutgoingHttpHeaders): Promise<RawAnswer>;
  /** Cuts the connection. */
  close(): void;
}

export interface RawGrpcCall {
  readonly stream: ClientHttp2Stream;
  /** Resolves when no more comes, for whatever reason. */
  readonly answer: Promise<RawAnswer>;
  /** Resolves when the stream is closed both ways, with HTTP/2's code for why. */
  readonly closed: Promise<number>;
}

export interface RawAnswer {
  /** The number of grpc-status; undefined where HTTP/2 ended it without one. */
  readonly status: number | undefined;
  readonly message: string;
  /** grpc-status-details-bin, decoded from base64. */
  readonly details: Buffer;
  /** The first that came, and the last. */
  readonly headers: Readonly<IncomingHttpHeaders>;
}

/** Connects when it is first used. Nothing that goes wrong with it ends the process. */
export function createRawGrpcClient(address: string): RawGrpcClient {
  // In millions of bytes: with Node's default of 10 it takes no answer while more than that waits to be sent.
  const session = connect(`http://${address}`, { maxSessionMemory: 4_000 });
  session.on("error", () => undefined);
  const open = (path: string, headers: OutgoingHttpHeaders = {}): RawGrpcCall => {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    stream.on("error", () => undefined);
    const closed = new Promise<number>((resolve) => stream.once("close", () => resolve(stream.rstCode)));
    return { stream, answer: read(stream, closed), closed };
  };
  return {
    session,
    open,
    send: (path, body, headers) => {
      const { stream, answer } = open(path, headers);
      stream.end(body);
      return answer;
    },
    close: () => session.destroy(),
  };
}

/** A message as gRPC puts it on the wire. */
export function toGrpcFrame(message: Uint8Array, { compressed = false } = {}): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(Number(compressed));
  header.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([header, message]);
}

async function read(stream: ClientHttp2Stream, closed: Promise<number>): Promise<RawAnswer> {
  let status: number | undefined;
  let message = "";
  let details = Buffer.alloc(0);
  let all: IncomingHttpHeaders = {};
  const look = (headers: IncomingHttpHeaders): void => {
    all = { ...all, ...headers };
    if (headers["grpc-status"] === undefined) return;
    status = Number(headers["grpc-status"]);
    message = decodeURIComponent(first(headers["grpc-message"]));
    details = Buffer.from(first(headers["grpc-status-details-bin"]), "base64");
  };
  // A failure comes with the headers, if nothing was sent before it.
  stream.on("response", look).on("trailers", look).resume();
  await Promise.race([new Promise((resolve) => stream.once("end", resolve)), closed]);
  return { status, message, details, headers: all };
}

function first(header: string | string[] | undefined): string {
  return (Array.isArray(header) ? header[0] : header) ?? "";
}
