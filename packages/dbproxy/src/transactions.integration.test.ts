import { Isolation } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { HandlerError } from "@tandem/rpc";
import type { TransactionOptions } from "./requests.ts";
import { newRequestId } from "./request-id.ts";
import { sql } from "./sql.ts";
import type { Step } from "./steps.ts";
import { json } from "./values/json.ts";
import { double, numeric } from "./values/numbers.ts";
import { trackLeaks } from "@tandem/testkit";
import { afterAll, describe, expect, it } from "vitest";
import { startRecordingOwner } from "./testing/recording-owner.ts";

const leaks = trackLeaks();
afterAll(() => leaks.expectNoLeaks());

const failure = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);

describe("a transaction", () => {
  it("sends its steps and options as the contract has them, and gives a result for each step", async () => {
    await using owner = await startRecordingOwner({ client: { sourceInstanceId: "gateway-1" } });
    const before = Date.now();
    const options: TransactionOptions = {
      isolation: "serializable",
      statementTimeoutMs: 1_500,
      transactionTimeoutMs: 3_000,
    };
    const { results, replayed, rowsOmitted, committedAt, writeToken } = await owner.db.transaction(
      [
        sql<{ p1: string; p2: bigint }>`INSERT INTO t VALUES (${"a"}, ${1}) RETURNING p1, p2`,
        { statement: sql`DELETE FROM t`, guard: { min: 1, max: 2n } },
      ],
      options,
    );
    expect(results).toEqual([
      {
        changes: 0n,
        columns: [
          { name: "p1", type: "unknown" },
          { name: "p2", type: "unknown" },
        ],
        rows: [{ p1: "a", p2: 1n }],
      },
      { changes: 1n, columns: [], rows: [] },
    ]);
    expect({ replayed, rowsOmitted, committedAt, writeToken }).toEqual({
      replayed: false,
      rowsOmitted: false,
      committedAt: new Date("2026-01-02T03:04:05.678Z"),
      writeToken: "token",
    });
    const [request] = owner.transactions;
    expect(request).toMatchObject({
      requestId: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
      attempt: 0,
      serializationKey: "",
      isolation: Isolation.SERIALIZABLE,
      statementTimeout: { seconds: 1n, nanos: 500_000_000 },
      transactionTimeout: { seconds: 3n, nanos: 0 },
      validateOnly: false,
      meta: { sourceInstanceId: "gateway-1" },
      steps: [
        { statement: { case: "sql", value: "INSERT INTO t VALUES ($1, $2) RETURNING p1, p2" } },
        { statement: { case: "sql", value: "DELETE FROM t" }, params: [], minChanges: 1n, maxChanges: 2n },
      ],
    });
    expect(request?.steps[0]).not.toHaveProperty("minChanges");
    expect(Number(request?.meta?.requestedAt?.seconds) * 1_000).toBeGreaterThanOrEqual(before - 1_000);
  });

  it("asks for nothing that it wasn't told to ask for", async () => {
    await using owner = await startRecordingOwner();
    await owner.db.transaction([sql`SELECT 1`]);
    expect(owner.transactions[0]).toMatchObject({
      isolation: Isolation.UNSPECIFIED,
      meta: { sourceInstanceId: "" },
      validateOnly: false,
    });
    expect(owner.transactions[0]).not.toHaveProperty("statementTimeout");
    expect(owner.transactions[0]).not.toHaveProperty("transactionTimeout");
  });

  it("has no time of a commit where it was only to be validated", async () => {
    await using owner = await startRecordingOwner();
    const { committedAt } = await owner.db.transaction([sql`SELECT 1`], { validateOnly: true });
    expect(committedAt).toBeUndefined();
    expect(owner.transactions[0]?.validateOnly).toBe(true);
  });

  it("carries every kind of value there and back", async () => {
    await using owner = await startRecordingOwner();
    const mebibyte = new Uint8Array(2 ** 20).fill(255);
    const { results } = await owner.db.transaction([
      sql`SELECT ${null}, ${true}, ${2n ** 63n - 1n}, ${-0}, ${"ü"}, ${mebibyte}, ${new Date(1)},
        ${numeric("0.10")}, ${json({ a: [] })}, ${[["a", null]]}, ${double(NaN)}`,
    ]);
    const [row = {}] = results[0].rows;
    expect(Object.values(row)).toEqual([
      null,
      true,
      2n ** 63n - 1n,
      -0,
      "ü",
      mebibyte,
      "1970-01-01T00:00:00.001000Z",
      "0.10",
      { a: [] },
      [["a", null]],
      NaN,
    ]);
  });

  it("without a step is the other side's to refuse", async () => {
    const empty = new HandlerError({ reason: "EMPTY_TRANSACTION", message: "Send at least one." });
    await using owner = await startRecordingOwner({ handlers: { transaction: () => Promise.reject(empty) } });
    await expect(owner.db.transaction([])).rejects.toMatchObject({ reason: "EMPTY_TRANSACTION" });
  });

  it("sends nothing where its caller made a mistake", async () => {
    await using owner = await startRecordingOwner();
    const statement = sql`SELECT 1`;
    const mistakes: readonly [readonly Step[], TransactionOptions][] = [
      [[statement, statement], {}],
      [[sql`SELECT ${statement.ref("a")}`, statement], {}],
      [[{ statement, guard: { min: 2, max: 1 } }], {}],
      [[statement], { statementTimeoutMs: 0 }],
      [[statement], { transactionTimeoutMs: 1.5 }],
      [[statement], { timeoutMs: NaN }],
      [[statement], { isolation: "toString" as never }],
      [[statement], { requestId: "1" }],
      [[statement], { requestId: newRequestId(), validateOnly: true }],
      [[statement], { serializationKey: "" }],
    ];
    for (const [steps, options] of mistakes) {
      const error = await failure(owner.db.transaction(steps, options));
      expect(["TypeError", "RangeError"]).toContain((error as Error).name);
      expect((error as Error).message).toMatch(/\.$/);
    }
    expect(owner.transactions).toEqual([]);
  });
});
