import {
  Metadata,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServerInterceptingCallInterface,
  status,
} from "@grpc/grpc-js";
import { constants, type ServerHttp2Stream } from "node:http2";
import { HandlerError } from "../errors/handler-error.ts";
import { toStatus } from "../errors/status-details.ts";
import type { Admission, ArrivingCall } from "../identity/admission.ts";
import type { RpcLimits } from "../limits.ts";
import type { Logger } from "../logger.ts";
import { toCallId } from "./handler-context.ts";
import type { AnswerStatus } from "./answer.ts";
import type { RefusalLog } from "./refusal-log.ts";

export interface EntranceOptions {
  readonly admit: (call: ArrivingCall, metadata: Metadata, method: string) => Admission;
  /** Whether a request of this method may be a copy of one that was sent before. */
  readonly isResendable: (method: string) => boolean;
  readonly limits: RpcLimits;
  readonly logger: Logger;
  readonly logRefusal: RefusalLog;
}

/** Where every call comes in, of whatever service, before anything of its request is read. */
export interface Entrance {
  readonly interceptor: ServerInterceptor;
  /** What was found out about a call that came in. */
  admissionOf(call: { readonly metadata: Metadata }): Admission;
}

/**
 * Judges a call by its metadata. Who may not call is refused then: nothing of what it goes on to send is kept. A request
 * that is let in is taken as it is, not compressed, and a unary one has to arrive within its time.
 */
export function createEntrance(options: EntranceOptions): Entrance {
  const { admit, limits, logRefusal } = options;
  // grpc-js hands a call on to its handler as another object, but with the same metadata.
  const admissions = new WeakMap<Metadata, Admission>();
  const judge = (call: ServerInterceptingCallInterface, metadata: Metadata, method: string): Admission => {
    const admission = admit(call, metadata, method);
    admission.check();
    if (admission.isStranger) allowNoMoreThan(call, limits.maxStrangerRequestBytes);
    admissions.set(metadata, admission);
    return admission;
  };
  const interceptor: ServerInterceptor = ({ path, requestStream }, call) => {
    const method = path.slice(1);
    let limit: NodeJS.Timeout | undefined;
    let endsStream = false;
    const inTime = (): void => clearTimeout(limit);
    const onReceiveMetadata = (metadata: Metadata, letIn: (metadata: Metadata) => void): void => {
      let admission: Admission;
      try {
        admission = judge(call, metadata, method);
      } catch (error) {
        // What is thrown in here ends the process.
        refuse(call, toRefusal({ error, call, metadata, method }, options, logRefusal), limits);
        return;
      }
      if (isCompressed(call)) return refuse(call, COMPRESSED, limits);
      endsStream = requestStream && admission.isStranger;
      if (endsStream || !requestStream) {
        const answer = endsStream ? tooLong(limits) : tooSlow(limits);
        limit = setTimeout(() => refuse(call, answer, limits), limits.maxArrivalMs);
      }
      letIn(metadata);
    };
    const onReceiveHalfClose = (letIn: () => void): void => {
      if (!endsStream) inTime();
      letIn();
    };
    return new ServerInterceptingCall(call, {
      start: (next) => next({ onReceiveMetadata, onReceiveHalfClose, onCancel: inTime }),
      sendMetadata: (metadata, next) => {
        metadata.set(ACCEPT_ENCODING_HEADER, "identity");
        next(metadata);
      },
      sendStatus: (answer, next) => {
        inTime();
        next(answer);
      },
    });
  };
  return {
    interceptor,
    admissionOf: ({ metadata }) => {
      const admission = admissions.get(metadata);
      if (admission === undefined) throw new TypeError("A call came in without being judged.");
      return admission;
    },
  };
}

interface Refused {
  readonly error: unknown;
  readonly call: ServerInterceptingCallInterface;
  readonly metadata: Metadata;
  readonly method: string;
}

/**
 * This send had no effect. But where it may be a copy, and says so only in the request that is not read, nobody here
 * knows what became of those before it, which may have been let in by a credential that was good then.
 */
function toRefusal(
  { error, call, metadata, method }: Refused,
  options: EntranceOptions,
  logRefusal: RefusalLog,
): AnswerStatus {
  const callId = toCallId(metadata);
  const logger = options.logger.child({ callId, method });
  if (!(error instanceof HandlerError)) {
    logger.error({ err: error }, "who calls could not be found out");
    return toStatus(new HandlerError({ reason: "HANDLER_FAILED", message: "The call could not be judged." }));
  }
  const { reason, code } = error;
  const details = { reason, code, peer: call.getPeer() };
  if (reason === "UNAUTHENTICATED") logRefusal(logger, details, error.message);
  else logger.info(details, error.message);
  return toStatus(options.isResendable(method) ? error.withOutcome("UNKNOWN") : error);
}

// No handler decided this, nor what is below: to the caller the request got lost on the way.
function tooSlow({ maxArrivalMs }: RpcLimits): AnswerStatus {
  const details = `The request did not arrive within ${maxArrivalMs} ms.`;
  return { code: status.DEADLINE_EXCEEDED, details, metadata: new Metadata() };
}

function tooLong({ maxArrivalMs }: RpcLimits): AnswerStatus {
  const details = `A stream of a caller whom nobody knows ends after ${maxArrivalMs} ms: show who you are, or ask again.`;
  return { code: status.DEADLINE_EXCEEDED, details, metadata: new Metadata() };
}

const ACCEPT_ENCODING_HEADER = "grpc-accept-encoding";

// A thousandth of what it becomes is sent of a compressed request, and grpc-js unpacks several at a time before it
// looks at any of them. https://github.com/grpc/grpc/blob/master/doc/compression.md
const COMPRESSED: AnswerStatus = {
  code: status.UNIMPLEMENTED,
  details: "This server takes no compressed requests: send it without grpc-encoding.",
  metadata: Metadata.fromHttp2Headers({ [ACCEPT_ENCODING_HEADER]: "identity" }),
};

/** What grpc-js keeps to itself of a call. The tests of this file notice where a version has it elsewhere. */
interface Internals {
  readonly stream?: ServerHttp2Stream;
  readonly incomingEncoding?: string;
  readonly decoder?: { maxReadMessageLength?: number };
}

function isCompressed(call: ServerInterceptingCallInterface): boolean {
  const { incomingEncoding = "identity" } = call as Internals;
  return incomingEncoding !== "identity";
}

function allowNoMoreThan(call: ServerInterceptingCallInterface, bytes: number): void {
  const { decoder } = call as Internals;
  if (decoder?.maxReadMessageLength !== undefined) decoder.maxReadMessageLength = bytes;
}

/**
 * Answers, and ends the stream a little later: what its caller still sends by then is dropped by HTTP/2. Until then
 * grpc-js reads and drops it, and without this for as long as its caller likes. A stream that is ended at once can take
 * an answer with it that has not left yet. https://www.rfc-editor.org/rfc/rfc9113#section-8.1
 */
function refuse(
  call: ServerInterceptingCallInterface,
  answer: AnswerStatus,
  { refusedStreamMs }: RpcLimits,
): void {
  call.sendStatus(answer);
  const { stream } = call as Internals;
  if (stream === undefined || stream.closed) return;
  const end = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), refusedStreamMs);
  stream.once("close", () => clearTimeout(end));
}
