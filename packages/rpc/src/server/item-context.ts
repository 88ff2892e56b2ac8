import { Metadata } from "@grpc/grpc-js";
import { HandlerError } from "../errors/handler-error.ts";
import type { StreamItem } from "../identity/admission.ts";
import { AUTHORIZATION_HEADER } from "../identity/presented-token.ts";
import type { Logger } from "../logger.ts";
import { CALL_ID_HEADER, type HandlerContext, parseCallId } from "./handler-context.ts";

/** What an item's context is made of. */
export interface ItemOrigin {
  readonly method: string;
  /** What the call would carry; the names are in lower case. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly deadline: Date | undefined;
  /** The context of the stream that it came over. */
  readonly stream: HandlerContext;
  /** The server's. */
  readonly logger: Logger;
}

/**
 * The context of an item. There are thousands in a second: what most handlers never ask for is made when it is asked
 * for.
 */
export class ItemContext implements HandlerContext {
  readonly method: string;
  readonly deadline: Date | undefined;
  readonly #origin: ItemOrigin;
  #callId: string | undefined;
  #caller: string | undefined;
  #ended: AbortController | undefined;
  #logger: Logger | undefined;
  #metadata: Metadata | undefined;
  #headers: Metadata | undefined;
  #trailers: Metadata | undefined;

  constructor(origin: ItemOrigin) {
    this.#origin = origin;
    this.method = origin.method;
    this.deadline = earlier(origin.deadline, origin.stream.deadline);
  }

  /** Finds out who it comes from; throws the HandlerError that it is refused with. */
  authorise(): void {
    const { stream, metadata } = this.#origin;
    for (const [name, value] of metadata) if (!isMetadata(name, value)) throw notMetadata();
    this.#caller = stream.authoriseItem({
      method: this.method,
      authorization: metadata.get(AUTHORIZATION_HEADER),
    });
  }

  abort(reason: unknown): void {
    this.#aborter().abort(reason);
  }

  get callId(): string {
    return (this.#callId ??= parseCallId(this.#origin.metadata.get(CALL_ID_HEADER)));
  }

  get caller(): string | undefined {
    return this.#caller;
  }

  get authoriseItem(): (item: StreamItem) => string | undefined {
    return this.#origin.stream.authoriseItem;
  }

  get peer(): string {
    return this.#origin.stream.peer;
  }

  get signal(): AbortSignal {
    return this.#aborter().signal;
  }

  get draining(): AbortSignal {
    return this.#origin.stream.draining;
  }

  get metadata(): Metadata {
    return (this.#metadata ??= toMetadata(this.#origin.metadata));
  }

  /** Nothing carries an item's own headers and trailers. */
  get responseHeaders(): Metadata {
    return (this.#headers ??= new Metadata());
  }

  get responseTrailers(): Metadata {
    return (this.#trailers ??= new Metadata());
  }

  get logger(): Logger {
    const { callId, method, caller, peer } = this;
    return (this.#logger ??= this.#origin.logger.child({ callId, method, caller, peer }));
  }

  #aborter(): AbortController {
    return (this.#ended ??= new AbortController());
  }
}

// As HTTP/2 would have it of a call.
function isMetadata(name: string, value: string): boolean {
  return /^[0-9a-z_.-]+$/.test(name) && /^[ -~]*$/.test(value);
}

function notMetadata(): HandlerError {
  const message =
    "Its metadata can't be that of a call: names are of 0-9 a-z _ . -, values of printable ASCII.";
  return new HandlerError({ reason: "INVALID_REQUEST", message });
}

function earlier(one: Date | undefined, other: Date | undefined): Date | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one < other ? one : other;
}

/** What a handler sees of it: all but the credentials, which it has no use for. */
function toMetadata(given: ReadonlyMap<string, string>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of given) {
    if (name === AUTHORIZATION_HEADER) continue;
    metadata.set(name, name.endsWith("-bin") ? Buffer.from(value, "base64") : value);
  }
  return metadata;
}
