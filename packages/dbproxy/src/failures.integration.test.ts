import { HandlerError, StatusCode, TransportError } from "@tandem/rpc";
import { createDbProxy, type DbProxy } from "./create-db-proxy.ts";
import { sql } from "./sql.ts";
import { trackLeaks } from "@tandem/testkit";
import { afterAll, describe, expect, it } from "vitest";
import { startRecordingOwner } from "./testing/recording-owner.ts";

const leaks = trackLeaks();
afterAll(() => leaks.expectNoLeaks());

const failure = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);

describe("a failure", () => {
  const everyCall: readonly { name: string; call: (db: DbProxy) => Promise<unknown> }[] = [
    { name: "transaction", call: (db) => db.transaction([sql`SELECT 1`]) },
    { name: "query", call: (db) => db.query(sql`SELECT 1`) },
    { name: "probe", call: (db) => db.probe() },
  ];

  it.each(everyCall)(
    "of the other side's handler reaches the caller of $name as it is",
    async ({ name, call }) => {
      const thrown = new HandlerError({
        reason: "UNIQUE_VIOLATION",
        message: "duplicate key",
        step: 1,
        database: { sqlstate: "23505", table: "t", constraint: "t_key" },
      });
      await using owner = await startRecordingOwner({ handlers: { [name]: () => Promise.reject(thrown) } });
      const error = await failure(call(owner.db));
      expect(error).toBeInstanceOf(HandlerError);
      const { code, reason, outcome, retryable, step, database } = thrown;
      expect(error).toMatchObject({
        code,
        reason,
        outcome,
        retryable,
        step,
        database,
        message: "duplicate key",
      });
    },
  );

  it.each(everyCall)("of the transport reaches the caller of $name as it is", async ({ call }) => {
    const { address, [Symbol.asyncDispose]: stop } = await startRecordingOwner();
    await stop();
    const db = createDbProxy({ address, retryLimits: { minRetryDelayMs: 1, maxRetryDelayMs: 2 } });
    const error = await failure(call(db));
    expect(error).toBeInstanceOf(TransportError);
    expect(error).toMatchObject({ code: StatusCode.UNAVAILABLE, sent: "no", address });
    db.close();
  });

  it.each<{ what: string; handlers: object; call: (db: DbProxy) => Promise<unknown> }>([
    {
      what: "too few results",
      handlers: { transaction: () => ({ results: [] }) },
      call: (db) => db.transaction([sql`SELECT 1`]),
    },
    {
      what: "a value too many",
      handlers: { query: () => ({ columns: [{ name: "a" }], rows: [{ values: [{}, {}] }] }) },
      call: (db) => db.query(sql`SELECT 1`),
    },
    {
      what: "JSON that is none",
      handlers: {
        query: () => ({
          columns: [{ name: "a" }],
          rows: [{ values: [{ kind: { case: "jsonValue", value: "s3cret" } }] }],
        }),
      },
      call: (db) => db.query(sql`SELECT 1`),
    },
    { what: "an unknown role", handlers: { probe: () => ({ role: 99 }) }, call: (db) => db.probe() },
    { what: "no role", handlers: { probe: () => ({}) }, call: (db) => db.probe() },
  ])("of the transport is what an answer is that makes no sense: $what", async ({ handlers, call }) => {
    await using owner = await startRecordingOwner({ handlers });
    const error = await failure(call(owner.db));
    expect(error).toBeInstanceOf(TransportError);
    expect(error).toMatchObject({ code: StatusCode.INTERNAL, sent: "maybe", address: owner.address });
    expect(String(error)).toContain("the answer");
    expect(JSON.stringify([String(error), (error as Error).cause])).not.toContain("s3cret");
  });
});
