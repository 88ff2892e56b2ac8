import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { createRelayPipe, type RelayPipe } from "./relay-pipe.ts";
import {
  createTriggers,
  type Direction,
  type RelayTrigger,
  type TriggerCondition,
  type Triggers,
} from "./relay-trigger.ts";

export type { Direction, RelayTrigger, TriggerCondition } from "./relay-trigger.ts";

/** One connection through a relay. */
export interface RelayConnection {
  /** Resets it on both sides. */
  cut(): void;
}

/** Whom a command concerns; both directions where it isn't said. */
export interface DirectionOptions {
  readonly direction?: Direction | "both";
}

/** A network link between a client and a server that a test can break. */
export interface TcpRelay {
  readonly host: "127.0.0.1";
  readonly port: number;
  /** `host:port` */
  readonly address: string;
  /** How many connections are open through it. */
  connections(): number;
  /** Bytes that it has passed on since it was made. */
  bytes(): Readonly<Record<Direction, number>>;
  /** Resets every open connection on both sides. New ones are let through. */
  cut(): void;
  /** Passes nothing on, on open and on new connections, which stay open: a link that has gone silent. */
  stall(options?: DirectionOptions): void;
  /** Ends a stall; what was held back is passed on. */
  resume(options?: DirectionOptions): void;
  /** From now on, passes every byte on so much later; 0 ends it. */
  delay(delayMs: number, options?: DirectionOptions): void;
  /** Refuses new connections, as a host where nobody listens does. Open ones live on. */
  refuse(): void;
  /** Ends refuse(), on the same port. */
  accept(): Promise<void>;
  /**
   * Does something, once, when a connection has carried so many bytes or a certain sequence of bytes
   * in a direction since now. Nothing after that point is passed on before the action has returned.
   */
  when(condition: TriggerCondition, action: (connection: RelayConnection) => void): RelayTrigger;
  /** Resets what is open and stops listening. */
  close(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1 (or the given one) and passes every connection on to a target. */
export async function createTcpRelay(options: {
  readonly target: { readonly host: string; readonly port: number };
  readonly port?: number;
}): Promise<TcpRelay> {
  const links = new Set<Link>();
  const triggers = createTriggers<RelayConnection>();
  const state: RelayState = {
    passed: { toServer: 0, toClient: 0 },
    stalled: { toServer: false, toClient: false },
    delayMs: { toServer: 0, toClient: 0 },
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const link = createLink({ client, target: options.target, state, triggers });
    links.add(link);
    void link.closed.then(() => links.delete(link));
  });
  const port = await listen(server, options.port ?? 0);
  const setStalled = (value: boolean, { direction = "both" }: DirectionOptions = {}): void => {
    for (const each of concerned(direction)) {
      state.stalled[each] = value;
      for (const { pipes } of links) pipes[each].update();
    }
  };
  const cut = (): void => links.forEach((link) => link.cut());
  // Gives the port back at once; its callback would wait for the open connections to end.
  const refuse = (): void => {
    if (server.listening) server.close();
  };
  return {
    host: "127.0.0.1",
    port,
    address: `127.0.0.1:${port}`,
    connections: () => links.size,
    bytes: () => ({ ...state.passed }),
    cut,
    stall: (concern) => setStalled(true, concern),
    resume: (concern) => setStalled(false, concern),
    delay: (delayMs, { direction = "both" } = {}) => {
      for (const each of concerned(direction)) state.delayMs[each] = delayMs;
    },
    refuse,
    accept: async () => {
      if (!server.listening) await listen(server, port);
    },
    when: triggers.add,
    close: async () => {
      refuse();
      cut();
      await Promise.all([...links].map((link) => link.closed));
    },
  };
}

interface RelayState {
  readonly passed: Record<Direction, number>;
  readonly stalled: Record<Direction, boolean>;
  readonly delayMs: Record<Direction, number>;
}

interface Link extends RelayConnection {
  readonly pipes: Readonly<Record<Direction, RelayPipe>>;
  readonly closed: Promise<unknown>;
}

function createLink(options: {
  readonly client: Socket;
  readonly target: { readonly host: string; readonly port: number };
  readonly state: RelayState;
  readonly triggers: Triggers<RelayConnection>;
}): Link {
  const { client, target, state, triggers } = options;
  const server = connect({ ...target, allowHalfOpen: true, noDelay: true });
  const cut = (): void => {
    for (const socket of [client, server]) {
      socket.resetAndDestroy();
      // By itself the reset waits until everything was written, which over a stalled link is never.
      socket.destroy();
    }
  };
  const pipe = (direction: Direction, from: Socket, to: Socket): RelayPipe =>
    createRelayPipe({
      from,
      to,
      delayMs: () => state.delayMs[direction],
      isStalled: () => state.stalled[direction],
      onPassed: (count) => (state.passed[direction] += count),
      split: triggers.watch(direction, { cut }),
    });
  for (const socket of [client, server]) socket.on("error", cut);
  const closed = Promise.all([client, server].map((socket) => closing(socket)));
  const pipes = { toServer: pipe("toServer", client, server), toClient: pipe("toClient", server, client) };
  return { cut, closed, pipes };
}

async function listen(server: Server, port: number): Promise<number> {
  server.listen({ host: "127.0.0.1", port });
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("A TCP server has no address.");
  return address.port;
}

function concerned(direction: Direction | "both"): readonly Direction[] {
  return direction === "both" ? ["toServer", "toClient"] : [direction];
}

async function closing(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => {
    socket.once("close", () => resolve());
    // A reset that fails, because the other side was gone first, is the end too; Node announces no close then.
    socket.on("error", (error: NodeJS.ErrnoException) => error.syscall === "reset" && resolve());
  });
}
