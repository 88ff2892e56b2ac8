import { randomUUID } from "node:crypto";
import { DbProxy, type TransactionRequest } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { createDbProxy } from "@tandem/dbproxy";
import type { MirrorItem } from "@tandem/postgres";
import { createLogger, HandlerError, type Reason, RpcServer } from "@tandem/rpc";
import { describe, expect, it, onTestFinished } from "vitest";
import { mirroredToAssistant } from "./to-assistant.ts";

const logger = createLogger({ service: "gateway", level: "silent" });

/** An assistant that takes what it is sent, but for that for which `refuse` gives a reason. */
async function startAssistant(
  refuse: (request: TransactionRequest, ids: readonly string[]) => Reason | undefined,
) {
  const taken = new Set<string>();
  let calls = 0;
  const notSupported = (): never => {
    throw new HandlerError({ reason: "NOT_SUPPORTED", message: "It isn't asked for." });
  };
  const server = new RpcServer({ logger }).addService(DbProxy, {
    transaction: (request) => {
      calls += 1;
      const ids = request.steps.map(({ params: [id] }) => textOf(id));
      const reason = refuse(request, ids);
      if (reason !== undefined) throw new HandlerError({ reason, message: "It isn't taken." });
      for (const id of ids) taken.add(id);
      const columns = [
        { name: "outcome", type: "text" },
        { name: "version", type: "int8" },
      ];
      const values = [
        { kind: { case: "textValue" as const, value: "updated" } },
        { kind: { case: "intValue" as const, value: 2n } },
      ];
      return { results: ids.map(() => ({ changes: 1n, columns, rows: [{ values }] })) };
    },
    transactionStream: notSupported,
    query: notSupported,
    getReceipt: notSupported,
    probe: notSupported,
  });
  const address = await server.listen("127.0.0.1:0");
  const db = createDbProxy({ address, streams: false, retryLimits: { maxRetries: 0 } });
  server.health.setAll(true);
  onTestFinished(async () => {
    db.close();
    await server.drain({ timeoutMs: 0 });
  });
  const deliver = async (items: readonly MirrorItem[]) => {
    const invites = mirroredToAssistant(db).find(({ name }) => name === "invite");
    return (await invites?.deliver(items, new AbortController().signal)) ?? [];
  };
  return { deliver, taken, calls: () => calls };
}

function textOf(param: TransactionRequest["steps"][number]["params"][number] | undefined): string {
  const value = param?.kind.case === "value" ? param.kind.value.kind : undefined;
  return value?.case === "textValue" ? value.value : "";
}

function deletions(count: number): MirrorItem[] {
  return Array.from({ length: count }, () => {
    return { id: randomUUID(), version: 2n, state: undefined, updatedAt: new Date().toISOString() };
  });
}

function reasonsOf(results: readonly (Error | undefined)[]): readonly unknown[] {
  return results.map((failure) => (failure instanceof HandlerError ? failure.reason : failure));
}

describe("what is settled as not committed under the id that follows from it", () => {
  it.each<Reason>(["REQUEST_REFUSED", "REQUEST_ID_REUSED", "REQUEST_ID_EXPIRED"])(
    "(%s) is brought under another one",
    async (reason) => {
      // What comes with an id of the caller's own may have been sent before.
      const { deliver, taken } = await startAssistant(({ attempt }) => (attempt > 0 ? reason : undefined));
      expect(await deliver(deletions(3))).toEqual([undefined, undefined, undefined]);
      expect(taken.size).toBe(3);
    },
  );
});

it("what is brought again goes under the same id", async () => {
  const ids: string[] = [];
  const { deliver } = await startAssistant(({ requestId }) => void ids.push(requestId));
  const items = deletions(2);
  await deliver(items);
  await deliver(items);
  expect(new Set(ids).size).toBe(1);
});

it.each<Reason>(["UNIQUE_VIOLATION", "LOCK_TIMEOUT", "HANDLER_FAILED"])(
  "of one that fails with %s the others are brought",
  async (reason) => {
    const items = deletions(40);
    const poison = items[7]?.id ?? "";
    const { deliver, taken } = await startAssistant((_, ids) => (ids.includes(poison) ? reason : undefined));
    const results = await deliver(items);
    expect(results.map((failure) => failure !== undefined)).toEqual(items.map(({ id }) => id === poison));
    expect(taken.size).toBe(39);
  },
);

it("rows that no message can hold together are brought, and one that none holds is refused", async () => {
  const { deliver, taken } = await startAssistant(() => undefined);
  const items = deletions(8).map((item, at) => {
    return { ...item, state: `{"note":"${"x".repeat(at === 3 ? 5_000_000 : 900_000)}"}` };
  });
  const results = await deliver(items);
  expect(reasonsOf(results)).toEqual(items.map((_, at) => (at === 3 ? "REQUEST_TOO_LARGE" : undefined)));
  expect(taken.size).toBe(7);
});

it("an assistant without a database is asked for nothing by itself", async () => {
  const counts: number[] = [];
  const { deliver } = await startAssistant((_, ids) => {
    counts.push(ids.length);
    return "DATABASE_UNAVAILABLE";
  });
  const results = await deliver(deletions(250));
  expect(results.filter((failure) => failure === undefined)).toEqual([]);
  expect(new Set(counts)).toEqual(new Set([100]));
});
