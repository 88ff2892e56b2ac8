import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { trackLeaks } from "./leak-tracker.ts";
import { createTcpRelay, type TcpRelay } from "./tcp-relay.ts";
import { waitFor } from "./wait-for.ts";

const leaks = trackLeaks();
const accepted: Socket[] = [];
const clients: Socket[] = [];
let echo: Server;
let relay: TcpRelay;

beforeAll(async () => {
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket);
    socket.on("error", () => undefined);
    socket.pipe(socket);
  });
  echo.listen({ host: "127.0.0.1", port: 0 });
  await once(echo, "listening");
});

beforeEach(async () => {
  const address = echo.address();
  if (address === null || typeof address === "string") throw new Error("The echo server has no address.");
  relay = await createTcpRelay({ target: { host: "127.0.0.1", port: address.port } });
});

afterEach(async () => {
  for (const socket of [...clients.splice(0), ...accepted.splice(0)]) socket.destroy();
  await relay.close();
});

afterAll(async () => {
  echo.close();
  await leaks.expectNoLeaks();
});

interface Client {
  readonly socket: Socket;
  received(): string;
  error(): string | undefined;
}

async function open(): Promise<Client> {
  const socket = connect({ host: relay.host, port: relay.port, noDelay: true });
  clients.push(socket);
  let received = "";
  let code: string | undefined;
  socket.on("data", (chunk) => (received += chunk.toString()));
  socket.on("error", (error: NodeJS.ErrnoException) => (code = error.code));
  await once(socket, "connect");
  return { socket, received: () => received, error: () => code };
}

async function receives(client: Client, text: string): Promise<void> {
  await waitFor(() => client.received() === text, { describe: `"${text}" to arrive` });
}

test("passes bytes on both ways, counts them, and closes with either side", async () => {
  const client = await open();
  client.socket.write("hello");
  await receives(client, "hello");
  expect(relay.connections()).toBe(1);
  expect(relay.bytes()).toEqual({ toServer: 5, toClient: 5 });
  client.socket.end("bye");
  await receives(client, "hellobye");
  await waitFor(() => relay.connections() === 0, { describe: "the connection to be closed" });
});

test("passes a large body on unchanged to a reader that is slow to begin", async () => {
  const client = await open();
  client.socket.pause();
  const body = Buffer.alloc(32 * 1024 * 1024, "abcdefghij");
  client.socket.end(body);
  // Nobody reads: what is on the way stops at what the buffers hold.
  await waitFor(() => relay.bytes().toClient > 0, { describe: "the first bytes" });
  expect(relay.bytes().toServer).toBeLessThan(body.length);
  client.socket.resume();
  await waitFor(() => client.received().length === body.length, { describe: "the whole body", pollMs: 50 });
  expect(Buffer.from(client.received()).equals(body)).toBe(true);
});

test("resets open connections on both sides when cut, and lets new ones through", async () => {
  const client = await open();
  client.socket.write("hello");
  await receives(client, "hello");
  const serverSide = accepted[0];
  if (serverSide === undefined) throw new Error("The echo server has no connection.");
  const serverError = once(serverSide, "error");
  relay.cut();
  await waitFor(() => client.error() === "ECONNRESET", { describe: "a reset on the client's side" });
  expect(await serverError).toMatchObject([{ code: "ECONNRESET" }]);
  const next = await open();
  next.socket.write("again");
  await receives(next, "again");
});

test("holds everything back while stalled, in the stalled direction only, and keeps connections open", async () => {
  const client = await open();
  client.socket.write("a");
  await receives(client, "a");
  relay.stall({ direction: "toClient" });
  client.socket.write("b");
  await waitFor(() => relay.bytes().toServer === 2, {
    describe: "the server to be sent what the client wrote",
  });
  const late = await open();
  late.socket.write("c");
  await waitFor(() => relay.bytes().toServer === 3, { describe: "a new connection to be let through" });
  expect(relay.bytes().toClient).toBe(1);
  expect(client.received()).toBe("a");
  relay.resume();
  await receives(client, "ab");
  await receives(late, "c");
});

test("passes every byte on later by the delay, without adding the delays of several up", async () => {
  relay.delay(100);
  const client = await open();
  const started = performance.now();
  for (const letter of "abcde") {
    client.socket.write(letter);
    await new Promise(setImmediate);
  }
  await receives(client, "abcde");
  const took = performance.now() - started;
  expect(took).toBeGreaterThan(190);
  expect(took).toBeLessThan(450);
});

test("refuses new connections while the open ones live on, and accepts again on the same port", async () => {
  const client = await open();
  client.socket.write("a");
  await receives(client, "a");
  relay.refuse();
  await expect(open()).rejects.toMatchObject({ code: "ECONNREFUSED" });
  client.socket.write("b");
  await receives(client, "ab");
  await relay.accept();
  const next = await open();
  next.socket.write("c");
  await receives(next, "c");
});

test("cuts before a sequence of bytes has reached the server", async () => {
  const client = await open();
  const trigger = relay.when({ direction: "toServer", contains: "COMMIT" }, (connection) => connection.cut());
  client.socket.write("BEGIN;COMMIT;");
  await trigger.fired;
  await waitFor(() => client.error() === "ECONNRESET", { describe: "the reset" });
  expect(relay.bytes().toServer).toBe("BEGIN;".length);
});

test("holds a reply back after the request has passed", async () => {
  const client = await open();
  const trigger = relay.when({ direction: "toServer", contains: "COMMIT", pass: true }, () =>
    relay.stall({ direction: "toClient" }),
  );
  client.socket.write("BEGIN;COMMIT;");
  await trigger.fired;
  await waitFor(() => relay.bytes().toServer === "BEGIN;COMMIT;".length, { describe: "the request to pass" });
  expect(client.received()).toBe("");
  relay.resume();
  await receives(client, "BEGIN;COMMIT;");
});

test("cuts after a number of bytes to the client", async () => {
  const client = await open();
  const trigger = relay.when({ direction: "toClient", bytes: 3 }, (connection) => connection.cut());
  client.socket.write("abcdef");
  await trigger.fired;
  expect(relay.bytes().toClient).toBe(3);
});

test("resets a client whose server refuses the connection", async () => {
  const dead = await createTcpRelay({ target: { host: "127.0.0.1", port: 1 } });
  const socket = connect({ host: dead.host, port: dead.port });
  clients.push(socket);
  await expect(once(socket, "close")).rejects.toMatchObject({ code: "ECONNRESET" });
  await dead.close();
});

test("closes with connections that are open and stalled", async () => {
  relay.stall();
  const client = await open();
  client.socket.write("a");
  await waitFor(() => relay.connections() === 1, { describe: "the connection to be accepted" });
  await relay.close();
  await waitFor(() => client.socket.destroyed, { describe: "the client to notice" });
  expect(relay.connections()).toBe(0);
});
