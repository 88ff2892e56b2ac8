import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** Takes connections as PostgreSQL does, and says nothing more by itself: for what a real server says only by chance. */
export interface FakePostgres extends AsyncDisposable {
  readonly config: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly password: string;
  };
  /** Those that are open, the oldest first. */
  readonly sockets: readonly Socket[];
  /** Hangs up on whoever comes. */
  refusing: boolean;
  /** Comes in one piece with its first word that it is ready. */
  behindReady: Buffer;
}

/** A message of PostgreSQL's: its type, its length, its content. */
export function postgresMessage(type: string, content: string | Buffer = ""): Buffer {
  const body = Buffer.from(content);
  const length = Buffer.alloc(4);
  length.writeInt32BE(4 + body.length);
  return Buffer.concat([Buffer.from(type), length, body]);
}

const READY = Buffer.concat([
  postgresMessage("R", Buffer.alloc(4)),
  postgresMessage("K", Buffer.alloc(8)),
  postgresMessage("Z", "I"),
]);

export async function createFakePostgres(): Promise<FakePostgres> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    if (fake.refusing) return void socket.destroy();
    sockets.push(socket);
    socket.on("close", () => sockets.splice(sockets.indexOf(socket), 1));
    socket.once("data", () => socket.write(Buffer.concat([READY, fake.behindReady])));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const fake: FakePostgres = {
    config: { host: "127.0.0.1", port, user: "role", password: "password" },
    sockets,
    refusing: false,
    behindReady: Buffer.alloc(0),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
  return fake;
}
