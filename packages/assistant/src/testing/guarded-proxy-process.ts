// DbProxy behind an identity, as a process of its own whose memory can be watched. Its arguments are the database's URL
// and the file of tokens. It prints its address, and ends with its input. SIGUSR2 has it collect its garbage: only what is held then
// counts as held before.
import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { Health } from "@tandem/contract/health/v1/health";
import { allow, createLogger, RpcServer } from "@tandem/rpc";
import { once } from "node:events";
import { createDbProxy } from "../db-proxy/db-proxy.ts";
import { dbProxyHandlers } from "../services/db-proxy-service.ts";

const [, , url = "", tokensFile = ""] = process.argv;
const logger = createLogger({ service: "assistant", level: "warn" });
const dbProxy = await createDbProxy({ url, logger });
const callers = ["gateway", "bystander"];
const server = new RpcServer({
  logger,
  limits: { maxArrivalMs: 2_000 },
  identity: {
    allowPlaintext: true,
    tokensFile,
    rules: {
      ...allow(DbProxy, {
        transaction: callers,
        transactionStream: callers,
        query: callers,
        getReceipt: callers,
        probe: callers,
      }),
      ...allow(Health, { check: "anyone" }),
    },
  },
});
server.addService(
  DbProxy,
  dbProxyHandlers(dbProxy, () => ({ id: "guarded", schemaVersion: "0001", standby: false })),
);
process.stdout.write(`listening ${await server.listen("127.0.0.1:0")}\n`);
process.on("SIGUSR2", () => {
  global.gc?.();
  process.stdout.write("collected\n");
});
await once(process.stdin.resume(), "end");
await server.drain({ timeoutMs: 0 });
await dbProxy[Symbol.asyncDispose]();
