import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createProxyFixture, int, type ProxyFixture, step, text } from "../testing/proxy-fixture.ts";

let proxy: ProxyFixture;
beforeAll(async () => {
  proxy = await createProxyFixture();
  await proxy.define(
    `CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, stock int NOT NULL CHECK (stock >= 0))`,
  );
});
afterAll(() => proxy[Symbol.asyncDispose]());
beforeEach(() => proxy.sql("TRUNCATE item RESTART IDENTITY"));

const insert = (name: string, stock = 1) =>
  step("INSERT INTO item (name, stock) VALUES ($1, $2) RETURNING id", text(name), int(stock));
const names = async (): Promise<unknown[]> =>
  (await proxy.sql("SELECT name FROM item ORDER BY id")).map(({ name }) => name);

describe("a transaction", () => {
  it("commits several writes together", async () => {
    const response = await proxy.transaction([insert("a"), insert("b")]);
    expect(response.results.map(({ changes }) => changes)).toEqual([1n, 1n]);
    expect(response.committedAt).toBeDefined();
    expect(response.writeToken).toMatch(/^1\.\d+\.1\.\d+$/);
    expect(await names()).toEqual(["a", "b"]);
  });

  it("rolls everything back when a later step fails, and keeps PostgreSQL's message and code", async () => {
    await expect(proxy.transaction([insert("a"), insert("a")])).rejects.toMatchObject({
      name: "HandlerError",
      reason: "UNIQUE_VIOLATION",
      message: 'duplicate key value violates unique constraint "item_name_key"',
      outcome: "NOT_COMMITTED",
      step: 1,
      database: { sqlstate: "23505", schema: "public", table: "item", constraint: "item_name_key" },
    });
    expect(await names()).toEqual([]);
  });

  it("rolls everything back when a guard is unmet", async () => {
    const update = { ...step("UPDATE item SET stock = 0 WHERE name = $1", text("nobody")), minChanges: 1n };
    await expect(proxy.transaction([insert("a"), update, insert("b")])).rejects.toMatchObject({
      reason: "GUARD_UNMET",
      outcome: "NOT_COMMITTED",
      step: 1,
      guard: { actualChanges: 0n, minChanges: 1n },
    });
    expect(await names()).toEqual([]);
  });

  it("commits when a guard is met", async () => {
    const update = {
      ...step("UPDATE item SET stock = stock + 1 WHERE name = $1", text("a")),
      minChanges: 1n,
      maxChanges: 1n,
    };
    await proxy.transaction([insert("a", 1), update]);
    expect(await proxy.sql("SELECT stock FROM item")).toEqual([{ stock: 2 }]);
  });

  it("refuses to run nothing", async () => {
    await expect(proxy.transaction([])).rejects.toMatchObject({
      reason: "EMPTY_TRANSACTION",
      code: 3,
      fields: [{ field: "steps" }],
    });
  });

  it("gives back a generated key, and lets a later step use it", async () => {
    const response = await proxy.transaction([
      insert("a", 5),
      {
        statement: { case: "sql", value: "UPDATE item SET stock = stock - 1 WHERE id = $1 RETURNING stock" },
        params: [{ kind: { case: "ref", value: { step: 0, row: 0, column: "id" } } }],
      },
    ]);
    expect(response.results[0]?.columns).toMatchObject([{ name: "id", type: "int8" }]);
    expect(response.results[0]?.rows[0]?.values[0]?.kind).toEqual({ case: "intValue", value: 1n });
    expect(response.results[1]?.rows[0]?.values[0]?.kind).toEqual({ case: "intValue", value: 4n });
  });
});
