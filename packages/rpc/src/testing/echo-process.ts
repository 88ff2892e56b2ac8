// An echo server as a process of its own, for tests that kill one in the middle of a call. It prints its
// address and answers no call that asks it to "hang".
import { setTimeout as delay } from "node:timers/promises";
import { createLogger } from "../logger.ts";
import { RpcServer } from "../server/server.ts";
import { Echo, toText } from "./echo-service.ts";

const server = new RpcServer({ logger: createLogger({ service: "echo", level: "silent" }) });
server.addService(Echo, {
  one: async (request, context) => {
    if (toText(request) === "hang") {
      process.stdout.write("called\n");
      await delay(60_000, undefined, { signal: context.signal });
    }
    return request;
  },
  async *down(request) {
    yield request;
    process.stdout.write("called\n");
    await delay(60_000);
  },
  up: () => ({}),
  async *both(requests) {
    yield* requests;
  },
});
process.stdout.write(`${await server.listen("127.0.0.1:0")}\n`);
