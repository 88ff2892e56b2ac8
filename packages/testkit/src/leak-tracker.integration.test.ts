import { once } from "node:events";
import { connect, createServer } from "node:net";
import { spawn } from "node:child_process";
import { afterAll, expect, test } from "vitest";
import { trackLeaks } from "./leak-tracker.ts";

const whole = trackLeaks();
afterAll(() => whole.expectNoLeaks());

test("is content when everything was closed again", async () => {
  const leaks = trackLeaks();
  const server = createServer().listen({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  server.close();
  await leaks.expectNoLeaks();
});

test("waits for what is still closing", async () => {
  const leaks = trackLeaks();
  const timer = setTimeout(() => undefined, 100);
  await leaks.expectNoLeaks();
  expect(timer.hasRef()).toBe(true);
});

test("finds a timer that was left, unless it doesn't keep the process alive", async () => {
  const leaks = trackLeaks();
  const timer = setInterval(() => undefined, 1_000);
  await expect(leaks.expectNoLeaks({ timeoutMs: 30 })).rejects.toThrow(
    /timer opened at .*leak-tracker.integration.test.ts/,
  );
  timer.unref();
  await leaks.expectNoLeaks();
  clearInterval(timer);
  await leaks.expectNoLeaks();
});

test("finds a server and a connection, both of its ends and even where they don't keep the process alive", async () => {
  const leaks = trackLeaks();
  const server = createServer().listen({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  await expect(leaks.expectNoLeaks({ timeoutMs: 30 })).rejects.toThrow(
    "server opened by Node, for a call made earlier",
  );
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server has no address.");
  const accepted = once(server, "connection");
  const socket = connect(address.port, "127.0.0.1");
  await accepted;
  await expect(leaks.expectNoLeaks({ timeoutMs: 30 })).rejects.toThrow(
    /connection opened .*connection opened /,
  );
  socket.unref();
  server.unref();
  const check = leaks.expectNoLeaks({ timeoutMs: 30 });
  await expect(check).rejects.toThrow(/server opened .*connection opened .*connection opened /);
  socket.destroy();
  server.close();
  await leaks.expectNoLeaks();
});

test("finds a child process that was left", async () => {
  const leaks = trackLeaks();
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
  await once(child, "spawn");
  await expect(leaks.expectNoLeaks({ timeoutMs: 30 })).rejects.toThrow("child process opened at");
  child.kill("SIGKILL");
  await leaks.expectNoLeaks();
});
