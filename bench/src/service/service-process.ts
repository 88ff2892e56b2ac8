// DbProxy as a process of its own, put together as the assistant does it, with what a row asks for: it is told
// what over its channel to the process that started it, and ends with that.
import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { readCatalogue } from "@tandem/assistant/catalogue";
import { createDbProxy } from "@tandem/assistant/db-proxy";
import { dbProxyHandlers } from "@tandem/assistant/db-proxy-service";
import { createDatabase } from "@tandem/postgres";
import { allow, createLogger, type IdentityOptions, RpcServer } from "@tandem/rpc";
import { answerParent } from "../child-process.ts";
import { benchPolicy } from "./policy.ts";
import type { ProcessUsage, ServiceQuestion, StartService } from "./service-messages.ts";

// More than are ever in flight: by default 40 wait and the rest is refused, which would be measured instead.
const MAX_WAITING = 10_000;

answerParent(async (given): Promise<string | ProcessUsage> => {
  const question = given as ServiceQuestion;
  if (question.ask === "start") return start(question);
  const { user, system } = process.cpuUsage();
  return { cpuMs: (user + system) / 1_000, residentBytes: process.memoryUsage.rss() };
});

async function start({ spec, dbProxyUrl, connections, tls }: StartService): Promise<string> {
  const logger = createLogger({ service: "bench", level: "warn" });
  const database = createDatabase({ url: dbProxyUrl, applicationName: "bench" });
  const catalogue = await readCatalogue(database);
  await database.close();
  const dbProxy = await createDbProxy({
    url: dbProxyUrl,
    limits: { poolSize: connections, maxWaiting: MAX_WAITING },
    policy: spec.policy === true ? benchPolicy : undefined,
    catalogue: () => catalogue,
    logger,
  });
  const gateway = ["gateway"];
  const anyMethod = allow(DbProxy, {
    transaction: gateway,
    transactionStream: gateway,
    query: gateway,
    probe: gateway,
  });
  // Everything but what the row is about is the same: also without TLS a caller has a name and rules.
  const identity: IdentityOptions =
    tls === undefined
      ? { allowPlaintext: true, plaintextCaller: "gateway", rules: anyMethod }
      : { tls, rules: anyMethod };
  const server = new RpcServer({ logger, identity });
  const instance = { id: "bench", schemaVersion: "", standby: false };
  server.addService(
    DbProxy,
    dbProxyHandlers(dbProxy, () => instance),
  );
  return server.listen("127.0.0.1:0");
}
