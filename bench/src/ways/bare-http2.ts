import { toBinary } from "@bufbuild/protobuf";
import { connect, type ClientHttp2Session, constants } from "node:http2";
import { DbProxy, TransactionRequestSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { Caller, LoadPlace } from "../row.ts";
import type { Workload } from "../workloads/workload.ts";
import { CALL_TIMEOUT_MS, channelOptions } from "./service-place.ts";
import { createRequests } from "./transaction-request.ts";

const HEADERS = {
  [constants.HTTP2_HEADER_METHOD]: "POST",
  [constants.HTTP2_HEADER_PATH]: `/${DbProxy.typeName}/${DbProxy.method.transaction.name}`,
  [constants.HTTP2_HEADER_CONTENT_TYPE]: "application/grpc",
  [constants.HTTP2_HEADER_TE]: "trailers",
  "grpc-timeout": `${CALL_TIMEOUT_MS}m`,
};
// A byte that says whether the message is compressed, and its length.
const PREFIX_BYTES = 5;

/**
 * DbProxy.Transaction as single calls by a client that does next to nothing: one session of node:http2 in plaintext, no
 * request_id, gRPC's framing by hand. What a call costs the service, with a client that leaves it the processor.
 */
export function withBareHttp2(workload: Workload) {
  return (place: LoadPlace): Caller => {
    const { address, tls } = channelOptions(place);
    if (tls !== undefined) throw new Error("This way has no TLS: leave `tls` out of the row's service.");
    const next = createRequests(workload, { requestId: false });
    let session: ClientHttp2Session | undefined;
    // A service replaces a connection after some minutes; what runs on the old one comes to its end there.
    const current = (): ClientHttp2Session => {
      if (session === undefined || session.closed) session = open(String(address));
      return session;
    };
    return {
      call: async () => {
        const message = toBinary(TransactionRequestSchema, next());
        const answered = await callOnce(current(), message);
        if (!answered && !(await callOnce(current(), message)))
          throw new Error("The call was refused twice.");
      },
      close: () => session?.close(),
    };
  };
}

function open(address: string): ClientHttp2Session {
  const session = connect(`http://${address}`);
  // What breaks it fails its calls, too.
  session.on("error", () => undefined);
  return session;
}

/** False where it was refused unread: it crossed the word that the connection takes no more. */
function callOnce(session: ClientHttp2Session, message: Uint8Array): Promise<boolean> {
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.byteLength);
  framed.writeUInt8(0, 0);
  framed.writeUInt32BE(message.byteLength, 1);
  framed.set(message, PREFIX_BYTES);
  return new Promise((resolve, reject) => {
    const stream = session.request(HEADERS);
    let status: string | undefined;
    let why = "";
    let answerBytes = 0;
    const onStatus = (headers: Readonly<Record<string, unknown>>): void => {
      status ??= headers["grpc-status"]?.toString();
      why ||= headers["grpc-message"]?.toString() ?? "";
    };
    // A call that was refused has its status among its headers, and no trailers.
    stream.on("response", onStatus);
    stream.on("trailers", onStatus);
    stream.on("data", (chunk: Buffer) => (answerBytes += chunk.byteLength));
    stream.on("error", (error) => {
      if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) resolve(false);
      else reject(error);
    });
    stream.on("close", () => {
      if (status === "0" && answerBytes >= PREFIX_BYTES) resolve(true);
      else reject(new Error(`The call ended with status ${status ?? "unknown"}: ${decodeURIComponent(why)}`));
    });
    stream.end(framed);
  });
}
