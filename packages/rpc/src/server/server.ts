import type {
  DescMessage,
  DescMethod,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import type { ServerSurfaceCall } from "@grpc/grpc-js/build/src/server-call.js";
import { HandlerError } from "../errors/handler-error.ts";
import { createHealth, type Health } from "../health/health-service.ts";
import { defaultRpcLimits, type RpcLimits, wireLimit } from "../limits.ts";
import { type Admission, type ArrivingCall, EVERYONE } from "../identity/admission.ts";
import { checkIdentity, type Gate, type IdentityOptions, openGate } from "../identity/gate.ts";
import { checkPlaintext } from "../identity/loopback.ts";
import type { Logger } from "../logger.ts";
import { addReflection } from "../reflection.ts";
import { settlesWithin } from "../settles-within.ts";
import type { Codec } from "./codec.ts";
import { createEntrance, type Entrance } from "./entrance.ts";
import { sendAway } from "./send-away.ts";
import { createTimeSlices } from "../time-slices.ts";
import type { HandlerContext } from "./handler-context.ts";
import type { Handlers, Interceptor } from "./handlers.ts";
import { isResendable } from "./resends.ts";
import type { MessageStreamHandler } from "./message-stream.ts";
import { createRefusalLog, type RefusalLog } from "./refusal-log.ts";
import { type ReadingHandler, toAnswering, type UnaryHandler } from "./unary-handler.ts";
import { type CallRunner, messageStreamCall, streamingCall, unaryCall } from "./run-call.ts";
import { RunningCall } from "./running-call.ts";

export interface RpcServerOptions {
  readonly logger: Logger;
  readonly limits?: Partial<RpcLimits>;
  /**
   * Who calls, and who may call what. Without it a server knows nobody and lets everyone in, and so listens on
   * this machine alone: a part for tests, not for a service.
   */
  readonly identity?: IdentityOptions;
  /** Run around every call that is let in, the first one outermost. */
  readonly interceptors?: readonly Interceptor[];
  /** Refuses the calls of a service with NOT_READY for as long as its health isn't SERVING. */
  readonly refuseUntilServing?: boolean;
  /** Lets anyone who can connect list the services: off unless asked for. */
  readonly reflection?: boolean;
}

/**
 * A gRPC server of typed services, with grpc.health.v1 beside them.
 *
 * States: created → listening (`listen`) → draining (`drain`: takes no call, those that run finish) →
 * stopped. `drain` can be called in each of them, any number of times.
 */
export class RpcServer {
  readonly health: Health;
  readonly #grpc: Server;
  readonly #limits: RpcLimits;
  readonly #logger: Logger;
  readonly #interceptors: readonly Interceptor[];
  readonly #running = new Set<RunningCall>();
  readonly #draining = new AbortController();
  readonly #codec: Codec;
  readonly #services: DescService[] = [];
  readonly #resendable = new Set<string>();
  readonly #entrance: Entrance;
  readonly #logRefusal: RefusalLog;
  readonly #reflection: boolean;
  readonly #identity: IdentityOptions | undefined;
  #gate: Gate | undefined;
  readonly #refuseUntilServing: boolean;
  #drained: Promise<DrainResult> | undefined;

  constructor(options: RpcServerOptions) {
    this.#logger = options.logger;
    this.#limits = { ...defaultRpcLimits, ...options.limits };
    this.#codec = { limits: this.#limits, slices: createTimeSlices() };
    this.#interceptors = options.interceptors ?? [];
    this.#reflection = options.reflection ?? false;
    this.#identity = options.identity;
    if (options.identity !== undefined) checkIdentity(options.identity);
    this.#refuseUntilServing = options.refuseUntilServing ?? false;
    this.#logRefusal = createRefusalLog(this.#limits.maxStrangersLoggedPerSecond);
    this.#entrance = createEntrance({
      admit: (call, metadata, method) => this.#admit(call, metadata, method),
      isResendable: (method) => this.#resendable.has(method),
      limits: this.#limits,
      logger: this.#logger,
      logRefusal: this.#logRefusal,
    });
    this.#grpc = new Server({
      interceptors: [this.#entrance.interceptor],
      "grpc.max_receive_message_length": wireLimit(this.#limits.maxRequestBytes),
      "grpc.max_send_message_length": wireLimit(this.#limits.maxResponseBytes),
      "grpc.max_concurrent_streams": this.#limits.maxConcurrentStreams,
      "grpc.max_connection_age_ms": this.#limits.maxConnectionAgeMs,
      "grpc.max_connection_age_grace_ms": this.#limits.maxConnectionAgeGraceMs,
      "grpc.keepalive_time_ms": this.#limits.keepaliveTimeMs,
      "grpc.keepalive_timeout_ms": this.#limits.keepaliveTimeoutMs,
    });
    allowResets(this.#grpc, this.#limits.maxResetsPerSecond);
    this.health = createHealth();
    this.addService(this.health.service, this.health.handlers);
  }

  /** Adds a service before the server listens. Its health is NOT_SERVING until that is set. */
  addService<S extends DescService>(service: S, handlers: Handlers<S>): this {
    const definition: Record<string, ServiceDefinition[string]> = {};
    const implementation: Record<string, UntypedHandleCall> = {};
    for (const method of service.methods) {
      if (isResendable(method.input)) this.#resendable.add(`${service.typeName}/${method.name}`);
      definition[method.localName] = {
        path: `/${service.typeName}/${method.name}`,
        // To grpc-js a method that streams at all is one that streams both ways: on the wire it's the same.
        requestStream: method.methodKind !== "unary",
        responseStream: method.methodKind !== "unary",
        requestSerialize: asIs,
        requestDeserialize: asIs,
        responseSerialize: asIs,
        responseDeserialize: asIs,
      };
      // The handlers' type is derived from the same descriptors that are walked here.
      const handler = handlers[method.localName as keyof Handlers<S>] as
        | AnyHandler
        | AnyReading
        | MessageStreamHandler;
      implementation[method.localName] = this.#toGrpc(
        method,
        typeof handler === "function" ? handler.bind(handlers) : handler,
      );
    }
    this.#grpc.addService(definition, implementation);
    this.#services.push(service);
    if (service.typeName !== this.health.service.typeName) this.health.set(service.typeName, false);
    return this;
  }

  /**
   * Listens on `host:port`; port 0 takes a free one. Gives the address that it listens on. Fails with a
   * PlaintextError where others could read along, and with a CredentialsFileError where a file can't be used.
   */
  async listen(address: string): Promise<string> {
    const credentials = this.#openGate(address);
    if (this.#reflection) addReflection(this.#grpc, this.#services);
    const port = await new Promise<number>((resolve, reject) => {
      this.#grpc.bindAsync(address, credentials, (error, bound) =>
        error === null ? resolve(bound) : reject(new ListenError(address, error)),
      );
    });
    return address.replace(/:\d+$/, `:${port}`);
  }

  /**
   * Takes no more calls, waits for those that run, and after `timeoutMs` ends what is left. Streams
   * that have no end of their own watch `context.draining`.
   */
  drain(options: { readonly timeoutMs?: number } = {}): Promise<DrainResult> {
    this.#drained ??= this.#drain(options.timeoutMs ?? this.#limits.drainTimeoutMs);
    return this.#drained;
  }

  async #drain(timeoutMs: number): Promise<DrainResult> {
    const until = Date.now() + timeoutMs;
    this.health.setAll(false);
    this.#draining.abort();
    // A connection that is closed while a request is on its way to it leaves the caller in doubt. So clients are
    // told to leave, and a handler refuses what had begun to arrive by then.
    const away = sendAway(this.#grpc);
    await settlesWithin(Promise.all([...this.#running].map((call) => call.finished)), timeoutMs);
    const forced = [...this.#running].reduce((calls, { load }) => calls + load, 0);
    if (forced > 0) this.#logger.warn({ forced }, "calls were still running at the end of the drain");
    for (const call of this.#running) call.end("DRAINING");
    await settlesWithin(away, Math.min(this.#limits.leaveTimeoutMs, Math.max(0, until - Date.now())));
    const shutDown = new Promise<void>((resolve) => this.#grpc.tryShutdown(() => resolve()));
    await settlesWithin(shutDown, Math.max(0, until - Date.now()));
    this.#grpc.forceShutdown();
    this.#gate?.close();
    return { forced };
  }

  #openGate(address: string): ServerCredentials {
    if (this.#identity === undefined) {
      checkPlaintext(address);
      return ServerCredentials.createInsecure();
    }
    const onDoubt = (): void => {
      for (const call of this.#running) if (call.streaming) call.recheckAdmission();
    };
    const options = { identity: this.#identity, limits: this.#limits, logger: this.#logger };
    this.#gate = openGate({ ...options, address, onDoubt });
    return this.#gate.credentials;
  }

  #admit(call: ArrivingCall, metadata: Metadata, method: string): Admission {
    if (this.#identity === undefined) return EVERYONE;
    if (this.#gate === undefined) throw new TypeError("A call came before the server listened.");
    return this.#gate.admit(call, metadata, method);
  }

  #toGrpc(method: DescMethod, handler: AnyHandler | AnyReading | MessageStreamHandler): UntypedHandleCall {
    const runner = this.#runner(method);
    if ("open" in handler) return messageStreamCall(method, handler, runner);
    // What it gives is known from its method's kind.
    if ("read" in handler || method.methodKind === "unary") {
      return unaryCall(method, toAnswering(method.input, handler as AnyUnary), runner);
    }
    switch (method.methodKind) {
      case "server_streaming":
        return streamingCall(method, (requests, context) => oneRequest(handler, requests, context), runner);
      case "client_streaming":
        return streamingCall(method, (requests, context) => oneResponse(handler, requests, context), runner);
      case "bidi_streaming":
        return streamingCall(method, (requests, context) => iterated(handler(requests, context)), runner);
    }
  }

  #runner(method: DescMethod): CallRunner & { readonly logger: Logger; readonly logRefusal: RefusalLog } {
    return {
      begin: (call, path) => this.#begin(call, path, method.methodKind !== "unary"),
      finish: (call) => this.#finish(call),
      intercept: (context, next) => this.#intercept(context, next),
      logger: this.#logger,
      logRefusal: this.#logRefusal,
    };
  }

  #begin(call: ServerSurfaceCall, method: string, streaming: boolean): RunningCall {
    const draining = this.#draining.signal;
    const running = new RunningCall({
      call,
      method,
      streaming,
      admission: this.#entrance.admissionOf(call),
      codec: this.#codec,
      logger: this.#logger,
      draining,
    });
    if (!draining.aborted) this.#running.add(running);
    return running;
  }

  #isServing(method: string): boolean {
    const service = method.slice(0, method.indexOf("/"));
    return service === this.health.service.typeName || this.health.isServing(service);
  }

  #finish(call: RunningCall): void {
    this.#running.delete(call);
    call.finish();
  }

  #intercept(context: HandlerContext, next: () => Promise<void>): Promise<void> {
    if (context.draining.aborted) {
      throw new HandlerError({
        reason: "DRAINING",
        message: "This instance is stopping: send it to another one.",
      });
    }
    if (this.#refuseUntilServing && !this.#isServing(context.method)) {
      throw new HandlerError({
        reason: "NOT_READY",
        message: "This instance is still starting: try again soon.",
      });
    }
    let chain = next;
    for (const interceptor of this.#interceptors.toReversed()) {
      const inner = chain;
      chain = () => interceptor(context, inner);
    }
    return chain();
  }
}

export interface DrainResult {
  /** How many calls still ran when the time was up. */
  readonly forced: number;
}

/** The address can't be listened on: it is taken, not this machine's, or not allowed. */
export class ListenError extends Error {
  override readonly name = "ListenError";

  constructor(address: string, cause: Error) {
    super(`${address} can't be listened on (${cause.message}): choose another address or free this one.`, {
      cause,
    });
  }
}

type AnyHandler = (request: unknown, context: HandlerContext) => unknown;
type AnyUnary = UnaryHandler<DescMessage, DescMessage>;
type AnyReading = ReadingHandler<unknown, Response>;
type Requests = AsyncIterable<MessageShape<DescMessage>>;
type Response = MessageInitShape<DescMessage>;

// Node ends a connection on which 1,000 calls, and then 33 in a second, are given up, and with it every other call on
// it: a few deadlines that pass under load would do. grpc-js has no option for what it hands to Node.
// https://github.com/grpc/grpc-node/issues/2872
function allowResets(grpc: Server, perSecond: number): void {
  const { commonServerOptions } = grpc as unknown as { readonly commonServerOptions: object };
  Object.assign(commonServerOptions, { streamResetBurst: perSecond, streamResetRate: perSecond });
}

const asIs = (bytes: Buffer): Buffer => bytes;

// What a handler gives is known from its method's kind, which the caller of these has looked at.
async function awaited(result: unknown): Promise<Response> {
  return (await result) as Response;
}

function iterated(result: unknown): AsyncIterable<Response> {
  return result as AsyncIterable<Response>;
}

async function* oneRequest(
  handler: AnyHandler,
  requests: Requests,
  context: HandlerContext,
): AsyncGenerator<Response> {
  for await (const request of requests) {
    yield* iterated(handler(request, context));
    return;
  }
  throw new HandlerError({ reason: "INVALID_REQUEST", message: "The request has no message." });
}

async function* oneResponse(
  handler: AnyHandler,
  requests: Requests,
  context: HandlerContext,
): AsyncGenerator<Response> {
  yield await awaited(handler(requests, context));
}
