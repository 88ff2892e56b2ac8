/**
 * Every number of this package that bounds something, in one place. All of them can be set where a
 * server or a channel is created; none is read from anywhere else.
 */
export interface RpcLimits {
  /** The largest request that a handler is given and that a client sends. */
  readonly maxRequestBytes: number;
  /**
   * Of how many fields a request may be made, those of the messages inside it too; an element of a list is one. In
   * memory they take up to 120 bytes each, however small they are on the wire.
   */
  readonly maxRequestFields: number;
  /** The largest request of a caller whom nobody knows, to a method that anyone may call. */
  readonly maxStrangerRequestBytes: number;
  /** The largest response that a handler may give and that a client takes. */
  readonly maxResponseBytes: number;
  /** Calls of callers whom nobody knows that are refused with a line of the log each; more in a second are counted. */
  readonly maxStrangersLoggedPerSecond: number;
  /**
   * How long a unary request may take to arrive, from its metadata to its end; and how long a whole stream may take, of a
   * caller whom nobody knows.
   */
  readonly maxArrivalMs: number;
  /** How long a call that was refused may go on sending, which nobody reads, before its stream is ended. */
  readonly refusedStreamMs: number;
  /** How long a call may take where its caller sets no deadline. Streams have none by default. */
  readonly defaultTimeoutMs: number;
  /** Calls at a time on one connection; what is beyond waits at the client. */
  readonly maxConcurrentStreams: number;
  /** Calls that may be given up on one connection in a second; beyond that the server ends the connection. */
  readonly maxResetsPerSecond: number;
  /** After this a connection is replaced, so that new replicas are found. */
  readonly maxConnectionAgeMs: number;
  /** How long calls on a connection that is being replaced may still run. */
  readonly maxConnectionAgeGraceMs: number;
  /** How often a quiet connection is asked whether it still lives, and how long it may take to answer. */
  readonly keepaliveTimeMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Connections are opened again after at least and at most this long. */
  readonly minReconnectMs: number;
  readonly maxReconnectMs: number;
  /** How often the files of certificates and tokens are read again, and running streams are judged anew. */
  readonly credentialsPollMs: number;
  /** Tokens that a server takes at a time: each is compared with whatever a call shows. */
  readonly maxTokens: number;
  /** How long a server waits for running calls when it is told to stop. */
  readonly drainTimeoutMs: number;
  /** How long, after the last call, it waits for clients to leave that were told to. */
  readonly leaveTimeoutMs: number;
}

const MIB = 1024 * 1024;

export const defaultRpcLimits: RpcLimits = {
  maxRequestBytes: 4 * MIB,
  maxRequestFields: 131_072,
  maxStrangerRequestBytes: 4 * 1024,
  maxStrangersLoggedPerSecond: 10,
  maxResponseBytes: 4 * MIB,
  maxArrivalMs: 30_000,
  refusedStreamMs: 1_000,
  defaultTimeoutMs: 10_000,
  maxConcurrentStreams: 1_000,
  maxResetsPerSecond: 10_000,
  maxConnectionAgeMs: 5 * 60_000,
  maxConnectionAgeGraceMs: 30_000,
  keepaliveTimeMs: 20_000,
  keepaliveTimeoutMs: 5_000,
  minReconnectMs: 100,
  maxReconnectMs: 500,
  credentialsPollMs: 250,
  maxTokens: 1_000,
  drainTimeoutMs: 8_000,
  leaveTimeoutMs: 500,
};

/**
 * grpc-js answers a message over its own limit with a bare RESOURCE_EXHAUSTED that looks like load.
 * Its limit stands above ours, so that ours speaks first, with a reason.
 */
export function wireLimit(bytes: number): number {
  return 2 * bytes;
}
