import { DbProxy, Role } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "@tandem/contract/health/v1/health";
import { createChannel, createClient, createLogger, HandlerError, RpcServer } from "@tandem/rpc";
import { createTcpRelay, expectNoBackends, waitFor } from "@tandem/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createPair, type Pair, type Service } from "./pair.ts";

let pair: Pair;
beforeEach(async () => {
  pair = await createPair();
});
afterEach(() => pair[Symbol.asyncDispose]());

describe("each service", () => {
  it("migrates its database, serves, and lets everything go when it is told to stop", async () => {
    const assistant = await pair.startAssistant();
    await assistant.serving();
    expect(assistant.log()).toContainEqual(
      expect.objectContaining({ msg: "migrating", name: "0000_contacts" }),
    );
    assistant.process.kill("SIGTERM");
    expect(await assistant.process.waitForExit()).toEqual({ code: 0, signal: null });
    await expectNoBackends(pair.assistant.url);
    expect(assistant.log().at(-1)).toMatchObject({ service: "assistant", msg: "stopped" });
  });

  it("can be started many times at once on one database", async () => {
    const replicas = await Promise.all(Array.from({ length: 4 }, () => pair.startAssistant()));
    await Promise.all(replicas.map((replica) => replica.serving()));
    const migrating = replicas.flatMap((replica) => replica.log()).filter(({ msg }) => msg === "migrating");
    const names = migrating.map(({ name }) => name);
    expect(names.length).toBeGreaterThan(0);
    expect(names).toEqual([...new Set(names)]);
  });

  it("waits for a database that isn't there yet, answering NOT_SERVING meanwhile", async () => {
    const { hostname, port } = new URL(pair.assistant.url);
    const relay = await createTcpRelay({ target: { host: hostname, port: Number(port) } });
    relay.refuse();
    const through = (role: string): string => {
      const to = new URL(pair.assistant.urlFor({ name: role, password: `${role}-test` }));
      return Object.assign(to, { port: String(relay.port) }).href;
    };
    const assistant = await pair.startAssistant({
      TANDEM_DATABASE_URL: through("assistant_app"),
      TANDEM_MIGRATION_URL: through("assistant_owner"),
    });
    await assistant.process.waitForLine("waiting for the database");
    expect(await statusOf(assistant)).toBe(ServingStatus.NOT_SERVING);
    await relay.accept();
    await assistant.serving();
    assistant.process.kill("SIGTERM");
    await assistant.process.waitForExit();
    await relay.close();
  });

  it.each([
    ["no database URL", { TANDEM_DATABASE_URL: "" }, "TANDEM_DATABASE_URL is not set."],
    ["a port that is no port", { TANDEM_LISTEN: "127.0.0.1:http" }, "TANDEM_LISTEN must look like HOST:PORT"],
    ["a level that is none", { TANDEM_LOG_LEVEL: "loud" }, "TANDEM_LOG_LEVEL must be one of trace, debug"],
  ])("says in a sentence what is wrong with its settings: %s", async (_, environment, sentence) => {
    expect(await lastWords(await pair.startAssistant(environment))).toContain(sentence);
  });

  it("says in a sentence that its password is wrong, at once and without the password", async () => {
    const url = pair.assistant.urlFor({ name: "assistant_owner", password: "hunter2" });
    const assistant = await pair.startAssistant({ TANDEM_MIGRATION_URL: url });
    expect(await lastWords(assistant)).toMatch(/password/i);
    expect(assistant.process.lines().join("\n")).not.toContain("hunter2");
  });

  it.each([
    ["owner", "owns what is in the database"],
    ["superuser", "is a superuser"],
  ])("lets callers' statements run with nobody else's rights: not with the %s's", async (whose, power) => {
    const owner = pair.assistant.urlFor({ name: "assistant_owner", password: "assistant_owner-test" });
    const assistant = await pair.startAssistant({
      TANDEM_DBPROXY_URL: whose === "owner" ? owner : pair.assistant.url,
    });
    expect(await lastWords(assistant)).toMatch(new RegExp(`^TANDEM_DBPROXY_URL names the role .* ${power}`));
  });

  it("ends at once where the database is closed to its role", async () => {
    const elsewhere = pair.gateway.urlFor({ name: "assistant_dbproxy", password: "assistant_dbproxy-test" });
    const assistant = await pair.startAssistant({ TANDEM_DBPROXY_URL: elsewhere });
    expect(await lastWords(assistant)).toContain("permission denied for database");
  });

  it("says in a sentence that its port is taken", async () => {
    const first = await pair.startAssistant();
    const address = await first.address();
    const second = await pair.startAssistant({ TANDEM_LISTEN: address });
    expect(await lastWords(second)).toMatch(new RegExp(`^${address} can't be listened on`));
  });
});

describe("the gateway", () => {
  it("waits for the assistant, answering NOT_SERVING meanwhile, and serves when that does", async () => {
    const placeholder = await pair.startAssistant();
    const address = await placeholder.dbProxyAddress();
    placeholder.process.kill("SIGKILL");
    await placeholder.process.waitForExit();

    const gateway = await pair.startGateway({ TANDEM_ASSISTANT_ADDRESS: address });
    await gateway.process.waitForLine("waiting for the assistant");
    expect(await statusOf(gateway)).toBe(ServingStatus.NOT_SERVING);
    const assistant = await pair.startAssistant({ TANDEM_DBPROXY_LISTEN: address });
    await Promise.all([assistant.serving(), gateway.serving()]);
  });

  it("tells an assistant that isn't migrated yet from one that can't be reached", async () => {
    await using peer = await startPeer((server) => server.health.setAll(false));
    const gateway = await pair.startGateway({ TANDEM_ASSISTANT_ADDRESS: peer.address });
    const line = await gateway.process.waitForLine("waiting for the assistant");
    expect(JSON.parse(line)).toMatchObject({ state: "not-serving" });
    peer.server.health.setAll(true);
    await gateway.serving();
  });

  it("stops at once, saying what the assistant said, when the assistant's handler refuses it", async () => {
    const refusal = new HandlerError({ reason: "UNAUTHENTICATED", message: "Show a certificate." });
    await using peer = await startPeer(
      () => {},
      () => Promise.reject(refusal),
    );
    const gateway = await pair.startGateway({ TANDEM_ASSISTANT_ADDRESS: peer.address });
    expect(await lastWords(gateway)).toContain("Show a certificate.");
  });

  it("stops at once where the assistant lets it look, but not in", async () => {
    const assistant = await pair.startAssistant({ TANDEM_PLAINTEXT_CALLER: "stranger" });
    await assistant.serving();
    const gateway = await pair.startGateway({ TANDEM_ASSISTANT_ADDRESS: await assistant.dbProxyAddress() });
    expect(await lastWords(gateway)).toMatch(/refuses this gateway: stranger may not call .*\/Probe/);
    const refusal = assistant.log().find(({ reason }) => reason === "METHOD_NOT_ALLOWED");
    expect(refusal).toMatchObject({ msg: expect.stringContaining("stranger"), peer: expect.any(String) });
  });

  it("says where it should have looked when it asks at the wrong listener", async () => {
    const assistant = await pair.startAssistant();
    await assistant.serving();
    const gateway = await pair.startGateway({ TANDEM_ASSISTANT_ADDRESS: await assistant.address() });
    expect(await lastWords(gateway)).toContain(
      "TANDEM_ASSISTANT_ADDRESS is where the assistant's DbProxy listens",
    );
  });

  it("gives up after its time, with what it saw last", async () => {
    const gateway = await pair.startGateway({
      TANDEM_ASSISTANT_ADDRESS: "127.0.0.1:9",
      TANDEM_PEER_TIMEOUT_MS: "500",
    });
    expect(await lastWords(gateway)).toMatch(/^The assistant was not ready within .* could not be reached/);
  });

  it("stops at once when it is told to while it waits", async () => {
    const gateway = await pair.startGateway({ TANDEM_ASSISTANT_ADDRESS: "127.0.0.1:9" });
    await gateway.process.waitForLine("waiting for the assistant");
    gateway.process.kill("SIGTERM");
    expect(await gateway.process.waitForExit()).toEqual({ code: 0, signal: null });
    await expectNoBackends(pair.gateway.url);
  });

  it("stays up when the assistant dies after both have served", async () => {
    const assistant = await pair.startAssistant();
    await assistant.serving();
    const gateway = await pair.startGateway({ TANDEM_ASSISTANT_ADDRESS: await assistant.dbProxyAddress() });
    await gateway.serving();
    assistant.process.kill("SIGKILL");
    await assistant.process.waitForExit();
    expect(await statusOf(gateway)).toBe(ServingStatus.SERVING);
  });
});

async function statusOf(service: Service): Promise<ServingStatus> {
  const channel = createChannel({ address: await service.address() });
  try {
    return (await createClient(Health, channel).check({ service: "" })).status;
  } finally {
    channel.close();
  }
}

/** The sentence with which a service that can't go on ended. */
async function lastWords(service: Service): Promise<string> {
  expect((await service.process.waitForExit({ timeoutMs: 10_000 })).code).toBe(1);
  const last = await waitFor(() => service.log().at(-1), { describe: "the last line of the log" });
  expect(last["level"]).toBe("fatal");
  return String(last["msg"]);
}

type Interceptor = NonNullable<ConstructorParameters<typeof RpcServer>[0]["interceptors"]>[number];

/** A peer that has an assistant's services and behaves as the test says. */
async function startPeer(prepare: (server: RpcServer) => void, interceptor?: Interceptor) {
  const server = new RpcServer({
    logger: createLogger({ service: "peer", level: "silent" }),
    interceptors: interceptor === undefined ? [] : [interceptor],
  });
  const refuse = (): never => {
    throw new HandlerError({ reason: "NOT_SUPPORTED", message: "This peer only answers probes." });
  };
  server.addService(DbProxy, {
    probe: () => ({ instanceId: "peer", role: Role.PRIMARY }),
    transaction: refuse,
    transactionStream: refuse,
    query: refuse,
    getReceipt: refuse,
  });
  prepare(server);
  const address = await server.listen("127.0.0.1:0");
  return {
    server,
    address,
    async [Symbol.asyncDispose]() {
      await server.drain({ timeoutMs: 0 });
    },
  };
}
