import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { createChannel, createClient, createLogger, RpcServer } from "@tandem/rpc";
import { expect, it } from "vitest";
import { createDbProxy } from "../db-proxy/db-proxy.ts";
import { failureOf, step } from "../testing/proxy-fixture.ts";
import { dbProxyHandlers } from "./db-proxy-service.ts";

it("says of a resend that nobody knows, where it is refused before its request_id is looked at", async () => {
  const logger = createLogger({ service: "assistant", level: "silent" });
  // Never reached, nor is its database.
  const dbProxy = await createDbProxy({ url: "postgresql://nobody:nothing@127.0.0.1:1/none", logger });
  const server = new RpcServer({ logger, refuseUntilServing: true });
  server.addService(
    DbProxy,
    dbProxyHandlers(dbProxy, () => ({ id: "starting", schemaVersion: "", standby: false })),
  );
  const channel = createChannel({ address: await server.listen("127.0.0.1:0") });
  const { transaction } = createClient(DbProxy, channel);
  const refused = { reason: "NOT_READY", retryable: true };
  const steps = [step("SELECT 1")];
  expect(await failureOf(transaction({ steps }))).toMatchObject({ ...refused, outcome: "NOT_COMMITTED" });
  expect(await failureOf(transaction({ steps, attempt: 1 }))).toMatchObject({
    ...refused,
    outcome: "UNKNOWN",
  });
  channel.close();
  await server.drain({ timeoutMs: 0 });
  await dbProxy[Symbol.asyncDispose]();
});

it("says of a caller that it refuses unread that nobody knows, since its request may be a copy", async () => {
  const logger = createLogger({ service: "assistant", level: "silent" });
  const dbProxy = await createDbProxy({ url: "postgresql://nobody:nothing@127.0.0.1:1/none", logger });
  const identity = { allowPlaintext: true, plaintextCaller: "stranger", rules: {} };
  const server = new RpcServer({ logger, identity });
  server.addService(
    DbProxy,
    dbProxyHandlers(dbProxy, () => ({ id: "closed", schemaVersion: "", standby: false })),
  );
  const channel = createChannel({ address: await server.listen("127.0.0.1:0") });
  const client = createClient(DbProxy, channel);
  const refused = { reason: "METHOD_NOT_ALLOWED", retryable: false };
  const unknown = { ...refused, outcome: "UNKNOWN" };
  expect(await failureOf(client.transaction({ steps: [step("SELECT 1")] }))).toMatchObject(unknown);
  const stream = client.transactionStream((async function* () {})());
  expect(await failureOf(Array.fromAsync(stream))).toMatchObject(unknown);
  // These write nothing.
  const nothing = { ...refused, outcome: "NOT_COMMITTED" };
  expect(await failureOf(client.probe({}))).toMatchObject(nothing);
  expect(await failureOf(client.query({}))).toMatchObject(nothing);
  channel.close();
  await server.drain({ timeoutMs: 0 });
  await dbProxy[Symbol.asyncDispose]();
});
