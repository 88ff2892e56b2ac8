import { Client } from "@grpc/grpc-js";
import { type ChannelIdentityOptions, openChannelIdentity } from "../identity/channel-identity.ts";
import { defaultRpcLimits, type RpcLimits, wireLimit } from "../limits.ts";

export interface ChannelOptions extends ChannelIdentityOptions {
  /**
   * Where the other side listens: `host:port`, or several of them, or a grpc target such as
   * `dns:///assistant:7402`. Calls are spread over every address that it resolves to.
   */
  readonly address: string | readonly string[];
  readonly limits?: Partial<RpcLimits>;
}

/** Connections to the replicas of one service. Clients share it; whoever made it closes it. */
export interface Channel {
  readonly address: string;
  readonly limits: RpcLimits;
  /** For this package's own use: grpc-js's client, which knows no service. */
  readonly grpc: Client;
  /** For this package's own use: the authorization that a call which is sent now goes with. */
  readonly authorization: () => string | undefined;
  /** For this package's own use: what still runs, to be cancelled when the channel is closed. */
  readonly running: Set<{ cancel(): void }>;
  readonly closed: boolean;
  /** Ends the connections. Calls that still run end with a TransportError, later ones are not sent. */
  close(): void;
}

/**
 * Creates a channel. It connects with the first call, and again by itself whenever it lost the peer. Fails with a
 * CredentialsFileError where a file that it is given can't be used, and with a PlaintextError where calls
 * would leave this machine in plaintext.
 */
export function createChannel(options: ChannelOptions): Channel {
  const limits = { ...defaultRpcLimits, ...options.limits };
  const { address, target } = toTarget(options.address);
  const identity = openChannelIdentity(options, target, limits);
  const grpc = new Client(target, identity.credentials, {
    "grpc.service_config": JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    // A service config from DNS could switch on retries behind our back. Without one, grpc-js sends again
    // only what the peer's HTTP/2 layer refused before any handler saw it, which no caller needs to hear of.
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_http_proxy": 0,
    // A channel of its own: closing it closes its connections, and nobody else's.
    "grpc.use_local_subchannel_pool": 1,
    // Whom TLS asks for: Node warns where that is an address.
    ...(options.tls?.peer === undefined ? {} : { "grpc.ssl_target_name_override": options.tls.peer }),
    "grpc.max_send_message_length": wireLimit(limits.maxRequestBytes),
    "grpc.max_receive_message_length": wireLimit(limits.maxResponseBytes),
    "grpc.keepalive_time_ms": limits.keepaliveTimeMs,
    "grpc.keepalive_timeout_ms": limits.keepaliveTimeoutMs,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.initial_reconnect_backoff_ms": limits.minReconnectMs,
    "grpc.max_reconnect_backoff_ms": limits.maxReconnectMs,
    "grpc.dns_min_time_between_resolutions_ms": limits.maxReconnectMs,
  });
  const running = new Set<{ cancel(): void }>();
  let closed = false;
  return {
    address,
    limits,
    grpc,
    authorization: () => identity.authorization(),
    running,
    get closed() {
      return closed;
    },
    close() {
      closed = true;
      // grpc-js alone would let them run until their deadlines.
      for (const call of running) call.cancel();
      grpc.close();
      identity.close();
    },
  };
}

function toTarget(address: string | readonly string[]): { address: string; target: string } {
  if (typeof address === "string") return { address, target: address };
  const list = address.join(",");
  const first = address[0];
  if (first === undefined) throw new TypeError("A channel needs at least one address.");
  if (address.length === 1) return { address: first, target: first };
  return { address: list, target: `${first.startsWith("[") ? "ipv6" : "ipv4"}:${list}` };
}
