import { Role } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { sql } from "./sql.ts";
import { trackLeaks } from "@tandem/testkit";
import { afterAll, describe, expect, it } from "vitest";
import { startRecordingOwner } from "./testing/recording-owner.ts";

const leaks = trackLeaks();
afterAll(() => leaks.expectNoLeaks());

describe("a query", () => {
  it("sends its statement and options, and gives columns and rows", async () => {
    await using owner = await startRecordingOwner();
    const options = { statementTimeoutMs: 250, atLeastAsFresh: "token", primary: true };
    const statement = sql<{ p1: bigint }>`SELECT a FROM t WHERE id = ${7}`;
    expect(await owner.db.query(statement, options)).toEqual({
      columns: [{ name: "p1", type: "unknown" }],
      rows: [{ p1: 7n }],
    });
    expect(owner.queries).toMatchObject([
      {
        statement: { case: "sql", value: "SELECT a FROM t WHERE id = $1" },
        params: [{ kind: { case: "intValue", value: 7n } }],
        statementTimeout: { seconds: 0n, nanos: 250_000_000 },
        atLeastAsFresh: "token",
        primary: true,
      },
    ]);
  });

  it("gives a row whose columns share a name the last of them, and every column beside it", async () => {
    const columns = ["id", "id", "__proto__"].map((name) => ({ name, type: "int8" }));
    const values = [1n, 2n, 3n].map((value) => ({ kind: { case: "intValue" as const, value } }));
    await using owner = await startRecordingOwner({
      handlers: { query: () => ({ columns, rows: [{ values }] }) },
    });
    const result = await owner.db.query(sql`SELECT a.id, b.id FROM a, b`);
    expect(result.columns).toHaveLength(3);
    expect(Object.entries(result.rows[0] ?? {})).toEqual([
      ["id", 2n],
      ["__proto__", 3n],
    ]);
  });

  it("sends nothing where its caller made a mistake", async () => {
    await using owner = await startRecordingOwner();
    const reference = sql`SELECT 1`.ref("a");
    await expect(owner.db.query(sql`SELECT ${reference}`)).rejects.toThrow(TypeError);
    await expect(owner.db.query("SELECT 1" as never)).rejects.toThrow(TypeError);
    await expect(owner.db.query(sql`SELECT 1`, { statementTimeoutMs: -1 })).rejects.toThrow(RangeError);
    expect(owner.queries).toEqual([]);
  });
});

describe("a probe", () => {
  it("says who answers", async () => {
    await using owner = await startRecordingOwner();
    expect(await owner.db.probe()).toEqual({
      instanceId: "owner-1",
      role: "primary",
      epoch: 2n ** 62n,
      schemaVersion: "0007",
      statements: ["invites.record_use"],
    });
  });

  it("knows a secondary", async () => {
    await using owner = await startRecordingOwner({ handlers: { probe: () => ({ role: Role.SECONDARY }) } });
    expect(await owner.db.probe()).toMatchObject({ role: "secondary" });
  });
});
