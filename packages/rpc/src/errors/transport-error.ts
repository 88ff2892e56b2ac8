import { status } from "@grpc/grpc-js";

/**
 * `no`: nothing of the request has left this process, trying again can't apply it twice.
 * `maybe`: it can have been sent, and the other side can have acted on it.
 */
export type Sent = "no" | "maybe";

export interface TransportErrorOptions {
  readonly code: status;
  readonly sent: Sent;
  /** `tandem.assistant.v1.DbProxy/Transaction` */
  readonly method: string;
  readonly address: string;
  /** What the transport says happened. */
  readonly details: string;
  readonly cause?: unknown;
}

/**
 * No handler said it: the request never arrived, the answer never came back, or something in between
 * (a proxy, grpc itself) answered instead.
 */
export class TransportError extends Error {
  override readonly name = "TransportError";
  readonly code: status;
  readonly sent: Sent;
  readonly method: string;
  readonly address: string;

  constructor(options: TransportErrorOptions) {
    const { code, sent, method, address, details } = options;
    const fate = sent === "no" ? "The request was not sent" : "The request may have been sent";
    const saw = `${status[code]}: ${tidy(details)}`;
    super(`${method} at ${address} got no answer from a handler (${saw}). ${fate}.`, {
      cause: options.cause,
    });
    this.code = code;
    this.sent = sent;
    this.method = method;
    this.address = address;
  }
}

// grpc-js wraps the reason why there is no connection once for each of its layers. For the eye alone.
function tidy(details: string): string {
  const layers =
    /^(?:round_robin: )?(?:No connection established\. Last error: )+(?:Error: )?(.*?)\.?(?: Resolution note: .*)?$/s;
  return details.replace(layers, "no connection, $1");
}
