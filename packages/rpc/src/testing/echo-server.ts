import type { DestinationStream } from "pino";
import { type Channel, createChannel } from "../client/channel.ts";
import { type Client, createClient } from "../client/client.ts";
import type { ChannelIdentityOptions } from "../identity/channel-identity.ts";
import type { IdentityOptions } from "../identity/gate.ts";
import type { RpcLimits } from "../limits.ts";
import { createLogger } from "../logger.ts";
import type { Handlers, Interceptor } from "../server/handlers.ts";
import { RpcServer } from "../server/server.ts";
import { Echo, type EchoService } from "./echo-service.ts";

export interface EchoPair extends AsyncDisposable {
  readonly server: RpcServer;
  readonly address: string;
  readonly channel: Channel;
  readonly client: Client<EchoService>;
  /** Every line that the server logged. */
  readonly log: readonly Record<string, unknown>[];
}

export interface EchoPairOptions {
  /** A free port of this machine's where it isn't said. */
  readonly address?: string;
  readonly handlers?: Partial<Handlers<EchoService>>;
  readonly limits?: Partial<RpcLimits>;
  readonly clientLimits?: Partial<RpcLimits>;
  readonly interceptors?: readonly Interceptor[];
  readonly reflection?: boolean;
  readonly refuseUntilServing?: boolean;
  readonly identity?: IdentityOptions;
  /** Who the client is: nobody where it isn't said. */
  readonly as?: ChannelIdentityOptions;
}

/** A server on a free port and a client of it; both are closed when the pair is disposed of. */
export async function startEcho(options: EchoPairOptions = {}): Promise<EchoPair> {
  const log: Record<string, unknown>[] = [];
  const destination: DestinationStream = { write: (line) => void log.push(JSON.parse(line)) };
  const logger = createLogger({ service: "echo", level: "debug", destination });
  const { limits = {}, interceptors = [], reflection = false, refuseUntilServing = false } = options;
  const { identity, as } = options;
  const server = new RpcServer({
    logger,
    limits,
    interceptors,
    reflection,
    refuseUntilServing,
    ...(identity === undefined ? {} : { identity }),
  });
  server.addService(Echo, { ...echoHandlers, ...options.handlers });
  const address = await server.listen(options.address ?? "127.0.0.1:0");
  const channel = createChannel({ address, limits: options.clientLimits ?? limits, ...as });
  return {
    server,
    address,
    channel,
    log,
    client: createClient(Echo, channel),
    async [Symbol.asyncDispose]() {
      channel.close();
      await server.drain({ timeoutMs: 0 });
    },
  };
}

const echoHandlers: Handlers<EchoService> = {
  one: (request) => request,
  async *down(request) {
    yield request;
  },
  async up(requests) {
    const parts: Uint8Array[] = [];
    for await (const { value } of requests) parts.push(value);
    return { value: Buffer.concat(parts) };
  },
  async *both(requests) {
    for await (const request of requests) yield request;
  },
};
