import { connect } from "node:net";

export interface BackendKey {
  readonly host: string;
  readonly port: number;
  readonly processID: number;
  readonly secretKey: number;
}

const CANCEL_REQUEST = 80_877_102;
const TIMEOUT_MS = 2_000;

/**
 * Asks PostgreSQL to give up what a backend runs. It answers nothing, so nothing is promised: the request
 * may be lost, or come when the backend already runs something else.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export function cancelBackend(key: BackendKey): void {
  const message = Buffer.alloc(16);
  message.writeInt32BE(16, 0);
  message.writeInt32BE(CANCEL_REQUEST, 4);
  message.writeInt32BE(key.processID, 8);
  message.writeInt32BE(key.secretKey, 12);
  const socket = connect(key.port, key.host);
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy());
  // A server that can't be reached runs nothing for us any more.
  socket.on("error", () => socket.destroy());
  socket.end(message);
}
