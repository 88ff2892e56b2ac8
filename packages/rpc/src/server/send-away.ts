import type { Server } from "@grpc/grpc-js";
import { once } from "node:events";
import { constants, type Http2Server, type ServerHttp2Session } from "node:http2";

// As a server's last stream it says: what has begun is still taken.
const ANY_STREAM = 2 ** 31 - 1;

/**
 * Stops listening, and tells every client to use another connection. Calls that run go on; what arrives later is
 * refused by HTTP/2 unseen, so that clients send it elsewhere by themselves. Resolves when every client has closed
 * its connection. grpc-js has no such step: its tryShutdown cuts connections on which a request is under way.
 * https://www.rfc-editor.org/rfc/rfc9113#section-6.8
 */
export async function sendAway(grpc: Server): Promise<void> {
  const { http2Servers, sessions } = grpc as unknown as {
    readonly http2Servers: ReadonlyMap<Http2Server, unknown>;
    readonly sessions: ReadonlyMap<ServerHttp2Session, unknown>;
  };
  for (const server of http2Servers.keys()) server.close();
  const open = [...sessions.keys()].filter((session) => !session.closed);
  const closed = open.map((session) => once(session, "close"));
  for (const session of open) session.goaway(constants.NGHTTP2_NO_ERROR, ANY_STREAM);
  await Promise.allSettled(closed);
}
