import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { StatusSchema } from "@tandem/contract/google/rpc/status";
import { create, toBinary } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { HandlerError } from "../errors/handler-error.ts";
import type { Logger } from "../logger.ts";
import { toItemAnswer } from "./answer.ts";
import { type Codec, decodeRequest, encodeResponse } from "./codec.ts";
import type { EncodedMessage } from "./encoded-message.ts";
import { endedBy } from "./endings.ts";
import type { HandlerContext } from "./handler-context.ts";
import { ItemContext } from "./item-context.ts";
import type { RefusalLog } from "./refusal-log.ts";
import { refusal } from "./resends.ts";
import { type Answering, bySchema, toAnswering, type UnaryHandler } from "./unary-handler.ts";

/** A message of a stream that stands for a call of its own. */
export interface Item {
  readonly method: ItemMethod;
  /** As it came: it is decoded for this item alone, and within the limits of a call. */
  readonly request: Uint8Array;
  /** What the call would carry as metadata; the names are in lower case. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly deadline: Date | undefined;
  /** Why it is not run, where it isn't. */
  readonly refused?: HandlerError | undefined;
}

/** A method with one request and one response, and what answers it: the same that answers its calls. */
export interface ItemMethod {
  /** `tandem.assistant.v1.DbProxy/Transaction` */
  readonly path: string;
  readonly output: DescMessage;
  readonly answering: Answering<MessageInitShape<DescMessage> | EncodedMessage>;
}

/** A method, and its handler, for the items of a stream that stand for calls of it. */
export function itemMethod<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  handler: UnaryHandler<I, O>,
): ItemMethod {
  const { parent, name, input, output } = method;
  return { path: `${parent.typeName}/${name}`, output, answering: toAnswering(input, handler) };
}

/** Who is told what becomes of an item. */
export interface ItemListener<T extends Item> {
  /** Its answer is there. Called once. */
  answered(item: T, answer: ItemAnswer): void;
  /** Its handler is through as well. Called once, after that. */
  ended(item: T): void;
}

/** A response, or the google.rpc.Status with which the call would have ended; encoded. */
export interface ItemAnswer {
  readonly kind: "response" | "error";
  readonly bytes: Uint8Array;
}

/** What an item has of the stream and the server that it came to. */
export interface ItemSurroundings {
  readonly stream: HandlerContext;
  readonly codec: Codec;
  readonly logger: Logger;
  /** Who shows what doesn't hold must not be able to fill the log, item by item. */
  readonly logRefusal: RefusalLog;
  /** Runs the server's interceptors around it, and refuses it, by throwing at once, where calls are refused. */
  readonly intercept: (context: HandlerContext, next: () => Promise<void>) => Promise<void>;
}

/**
 * An item of a stream while it runs: authorised, traced, cancelled, timed out and answered by itself, as the call
 * that it stands for would be.
 */
export class ItemCall<T extends Item = Item> {
  readonly item: T;
  /** Among those of its stream. */
  place = -1;
  readonly #context: ItemContext;
  readonly #listener: ItemListener<T>;
  readonly #surroundings: ItemSurroundings;
  #answered = false;

  constructor(item: T, listener: ItemListener<T>, surroundings: ItemSurroundings) {
    const { metadata, deadline, method } = item;
    const { stream, logger } = surroundings;
    this.item = item;
    this.#context = new ItemContext({ method: method.path, metadata, deadline, stream, logger });
    this.#listener = listener;
    this.#surroundings = surroundings;
  }

  /** Its own, or that of its stream where that is earlier; in milliseconds since 1970. */
  get deadlineMs(): number {
    return this.#context.deadline?.getTime() ?? Infinity;
  }

  /** Its caller no longer waits: its handler is told, and its answer still comes. */
  cancel(): void {
    this.end(endedBy("CANCELLED_BY_CALLER"));
  }

  /** Tells its handler, where it still runs, to give up. */
  end(reason: unknown): void {
    if (!this.#answered) this.#context.abort(reason);
  }

  /** Its deadline has passed: that is its answer, whatever its handler still does. */
  expire(): void {
    this.cancel();
    this.#answer({ kind: "error", bytes: DEADLINE_EXCEEDED });
  }

  /** Runs it to its end. Fails only as its listener does. */
  async run(): Promise<void> {
    this.#answer(await this.#outcome());
    this.#listener.ended(this.item);
  }

  #answer(answer: ItemAnswer): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#listener.answered(this.item, answer);
  }

  async #outcome(): Promise<ItemAnswer> {
    const { item } = this;
    const { method } = item;
    const { codec, intercept, logger } = this.#surroundings;
    const context = this.#context;
    const started = logger.isLevelEnabled("debug") ? performance.now() : undefined;
    let code = status.OK;
    let handled = false;
    let response: Uint8Array | undefined;
    const run = async (): Promise<void> => {
      const request = await decodeRequest(method.answering, item.request, codec);
      handled = true;
      response = await encodeResponse(method.output, await method.answering.handle(request, context), codec);
    };
    try {
      context.authorise();
      if (item.refused !== undefined) throw item.refused;
      await intercept(context, run);
      if (response === undefined)
        throw new TypeError("An interceptor neither let the call through nor threw.");
      return { kind: "response", bytes: response };
    } catch (error) {
      const decided = handled ? error : await refusal(() => this.#decode(), error);
      const isStrangers = !handled && error instanceof HandlerError && error.reason === "UNAUTHENTICATED";
      const answer = toItemAnswer(decided, context, isStrangers ? this.#logRefusal : undefined);
      ({ code } = answer);
      return { kind: "error", bytes: answer.bytes };
    } finally {
      if (started !== undefined) {
        const ms = Math.round(performance.now() - started);
        context.logger.debug({ code: status[code], ms, peer: context.peer }, "call");
      }
    }
  }

  readonly #logRefusal = ({ reason, code, message }: HandlerError): void => {
    const { logger, logRefusal } = this.#surroundings;
    const { callId, method, peer } = this.#context;
    logRefusal(logger, { reason, code, callId, method, peer }, message);
  };

  #decode(): Promise<MessageShape<DescMessage>> {
    const { method, request } = this.item;
    return decodeRequest(bySchema(method.answering.schema), request, this.#surroundings.codec);
  }
}

// What grpc-js answers to a call whose deadline passes: no handler decided it.
const DEADLINE_EXCEEDED = toBinary(
  StatusSchema,
  create(StatusSchema, { code: status.DEADLINE_EXCEEDED, message: "Deadline exceeded" }),
);
