import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { allow, createChannel, StatusCode } from "@tandem/rpc";
import { createProcesses, replaceFile, trackLeaks, waitFor } from "@tandem/testkit";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { createDbProxy } from "../create-db-proxy.ts";
import { sql } from "../sql.ts";
import { holdStreams } from "../testing/held-streams.ts";
import { startRecordingOwner } from "../testing/recording-owner.ts";

const leaks = trackLeaks();
const processes = createProcesses();
afterAll(async () => {
  await processes.end();
  await leaks.expectNoLeaks();
});

const steps = () => [sql`SELECT 1`] as const;
const failure = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);

const described = ({ reason, outcome }: { reason?: string; outcome?: string }) => ({ reason, outcome });

describe("a stream without transactions", () => {
  it("is ended after a time, and opened again by the next one", async () => {
    await using owner = await startRecordingOwner({ client: { streams: { idleMs: 200 } } });
    const began = performance.now();
    await owner.db.transaction(steps());
    await waitFor(() => owner.openStreams() === 0, { describe: "the streams to end" });
    expect(performance.now() - began).toBeGreaterThan(190);
    await owner.db.transaction(steps());
    expect(owner.openStreams()).toBe(1);
  });

  it("is not ended while one runs for longer than that", async () => {
    const released = Promise.withResolvers<void>();
    const transaction = async () => {
      await released.promise;
      return { results: [{ changes: 1n }] };
    };
    await using owner = await startRecordingOwner({
      client: { streams: { idleMs: 50, maxStreams: 1 } },
      handlers: { transaction },
    });
    const call = owner.db.transaction(steps());
    setTimeout(released.resolve, 300);
    await call;
    await owner.db.transaction(steps());
    expect(owner.streamsOpened()).toBe(1);
    await waitFor(() => owner.openStreams() === 0, { describe: "the streams to end" });
  });

  it.each([
    { streams: true, instances: 1 },
    { streams: true, instances: 2 },
    { streams: false, instances: 1 },
  ])("doesn't keep the process alive: $streams, to $instances", async ({ streams, instances }) => {
    await using first = await startRecordingOwner();
    await using second = await startRecordingOwner();
    const script = fileURLToPath(new URL("../testing/leaving-process.ts", import.meta.url));
    const addresses = [first.address, second.address].slice(0, instances);
    const leaving = await processes.spawn({ args: [script, String(streams), ...addresses] });
    await leaving.waitForLine("done");
    const done = performance.now();
    expect(await leaving.waitForExit()).toEqual({ code: 0, signal: null });
    expect(performance.now() - done).toBeLessThan(1_000);
    for (const owner of [first, second].slice(0, instances)) expect(owner.streamsOpened() > 0).toBe(streams);
  });
});

describe("closing a client", () => {
  it("ends what runs on its streams, as it ends calls", async () => {
    const held = holdStreams();
    await using owner = await startRecordingOwner({
      handlers: { transactionStream: held.handler },
      client: { retryLimits: { maxRetries: 0 } },
    });
    const call = failure(owner.db.transaction(steps(), { validateOnly: true }));
    await (await held.stream(0)).received(1);
    owner.db.close();
    const error = await call;
    expect(error).toMatchObject({ name: "TransportError", code: StatusCode.UNAVAILABLE, sent: "maybe" });
    expect(String(error)).toContain("the channel was closed");
    expect(await failure(owner.db.transaction(steps()))).toMatchObject({
      name: "TransportError",
      sent: "no",
    });
  });

  it("lets the streams end on a channel that isn't its own, and what runs on them is answered", async () => {
    const held = holdStreams();
    await using owner = await startRecordingOwner({ handlers: { transactionStream: held.handler } });
    const channel = createChannel({ address: owner.address });
    const db = createDbProxy({ channel });
    const call = db.transaction(steps());
    const stream = await held.stream(0);
    const [entry] = await stream.received(1);
    db.close();
    stream.answer(entry?.id ?? 0n);
    await call;
    await stream.halfClosed();
    stream.end();
    channel.close();
  });
});

describe("a token that is replaced", () => {
  it("is shown by a new stream, and the old one ends; no transaction fails", async () => {
    const folder = await mkdtemp(join(tmpdir(), "tandem-dbproxy-"));
    const tokensFile = join(folder, "tokens.jsonl");
    const file = join(folder, "token");
    const tokens = ["the-first-token-of-the-gateway", "the-second-token-of-the-gateway"] as const;
    const lines = tokens.map((token) => ({
      name: "gateway",
      sha256: createHash("sha256").update(token).digest("hex"),
    }));
    await replaceFile(tokensFile, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    await replaceFile(file, tokens[0]);
    const rules = allow(DbProxy, { transaction: ["gateway"], transactionStream: ["gateway"] });
    await using owner = await startRecordingOwner({
      identity: { allowPlaintext: true, tokensFile, rules },
    });
    const db = createDbProxy({
      address: owner.address,
      token: { file },
      limits: { credentialsPollMs: 20 },
      streams: { maxStreams: 1 },
      retryLimits: { maxRetries: 0 },
    });
    await db.transaction(steps());
    await replaceFile(file, tokens[1]);
    await waitFor(async () => (await db.transaction(steps())) && owner.streamsOpened() === 2, {
      describe: "a new stream",
    });
    await waitFor(() => owner.openStreams() === 1, { describe: "the old stream to end" });
    await replaceFile(tokensFile, `${JSON.stringify(lines[1])}\n`);
    const askAsNobody = async (): Promise<unknown> => {
      const nobody = createDbProxy({ address: owner.address, token: tokens[0] });
      const refused = await nobody.transaction(steps()).then(() => undefined, described);
      nobody.close();
      return refused;
    };
    const refused = await waitFor(askAsNobody, { describe: "the first token to be nobody's" });
    expect(refused).toEqual({ reason: "UNAUTHENTICATED", outcome: "NOT_COMMITTED" });
    await db.transaction(steps());
    db.close();
    await rm(folder, { recursive: true });
  });
});

it("a stream that the rules refuse is made calls of, which the rules may let through", async () => {
  await using owner = await startRecordingOwner({
    identity: {
      allowPlaintext: true,
      plaintextCaller: "gateway",
      rules: allow(DbProxy, { transaction: ["gateway"] }),
    },
  });
  await owner.db.transaction(steps());
  expect(owner.streamMessages).toEqual([]);
});
