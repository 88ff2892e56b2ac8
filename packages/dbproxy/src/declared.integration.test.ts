import { HandlerError, TransportError } from "@tandem/rpc";
import { defineStatement } from "@tandem/statements";
import { trackLeaks } from "@tandem/testkit";
import { afterAll, describe, expect, it } from "vitest";
import { callable } from "./declared/callable.ts";
import { requestIdOf } from "./request-id.ts";
import { sql } from "./sql.ts";
import { startRecordingOwner } from "./testing/recording-owner.ts";

const leaks = trackLeaks();
afterAll(() => leaks.expectNoLeaks());

const declared = defineStatement({
  name: "contacts.by_id",
  params: { id: "uuid" },
  sql: "SELECT s3cret_text($1)",
  result: { id: "uuid", tags: "text[]", note: "text | null" },
});
const contactById = callable(declared);
const column = (name: string, type: string) => ({ name, type });
const value = (text: string) => ({ kind: { case: "textValue" as const, value: text } });
const list = (...values: ReturnType<typeof value>[]) => ({
  kind: { case: "listValue" as const, value: { values } },
});
const columns = [column("id", "uuid"), column("tags", "_text"), column("note", "text")];
const row = { values: [value("x"), list(value("a")), {}] };

describe("a declared statement", () => {
  it("crosses the wire as its name and its values, in a transaction and in a query", async () => {
    const answer = {
      columns: [...columns, column("later", "int8")],
      rows: [{ values: [...row.values, {}] }],
    };
    await using owner = await startRecordingOwner({
      handlers: {
        query: () => answer,
        transaction: () => ({ results: [{ changes: 1n, ...answer }] }),
      },
    });
    const rows = [{ id: "x", tags: ["a"], note: null, later: null }];
    expect(await owner.db.query(contactById({ id: "x" }))).toMatchObject({ rows });
    expect((await owner.db.transaction([contactById({ id: "x" })])).results[0]).toMatchObject({ rows });
    expect(owner.queries[0]).toMatchObject({ statement: { case: "name", value: "contacts.by_id" } });
    expect(owner.transactions[0]?.steps[0]).toMatchObject({
      statement: { case: "name", value: "contacts.by_id" },
      params: [{ kind: { case: "value", value: value("x") } }],
    });
    const sent = JSON.stringify([owner.queries, owner.transactions], (_, part: unknown) =>
      typeof part === "bigint" ? String(part) : part,
    );
    expect(sent).not.toContain("s3cret_text");
  });

  it("is answered by the text of the same declaration where an owner doesn't know its name", async () => {
    await using owner = await startRecordingOwner({
      handlers: {
        transaction: ({ steps }) => {
          if (steps[0]?.statement.case === "sql")
            return { results: steps.map(() => ({ columns, rows: [row] })) };
          throw new HandlerError({ reason: "UNKNOWN_STATEMENT", message: "Not here.", step: 0 });
        },
      },
    });
    const steps = [contactById({ id: "x" })] as const;
    const { results } = await owner.db.transaction(steps).catch((error: unknown) => {
      if (!(error instanceof HandlerError && error.reason === "UNKNOWN_STATEMENT")) throw error;
      expect(error).toMatchObject({ outcome: "NOT_COMMITTED", retryable: false });
      return owner.db.transaction([steps[0].asSql()]);
    });
    expect(results[0].rows).toMatchObject([{ id: "x" }]);
    expect(owner.transactions.map(({ steps: [sent] }) => sent?.statement)).toMatchObject([
      { case: "name" },
      { case: "sql", value: declared.sql },
    ]);
  });

  it.each<[string, { columns: typeof columns; rows: object[] }, string]>([
    ["a column that is missing", { columns: columns.slice(0, 2), rows: [] }, 'has no column "note"'],
    ["no columns", { columns: [], rows: [] }, 'has no column "id"'],
    [
      "a column of another type",
      { columns: [column("id", "text"), ...columns.slice(1)], rows: [] },
      'has the column "id" as text, where uuid is declared',
    ],
    [
      "an element for an array",
      { columns: [column("id", "uuid"), column("tags", "text"), column("note", "text")], rows: [] },
      "where text[] is declared",
    ],
    ["a NULL", { columns, rows: [{ values: [{}, list(), {}] }] }, 'has a value in "id"'],
    ["another array", { columns, rows: [{ values: [value("x"), list(list() as never), {}] }] }, '"tags"'],
  ])("fails, and says that it may have happened, where the answer has %s", async (_, answer, says) => {
    await using owner = await startRecordingOwner({
      handlers: { query: () => answer, transaction: () => ({ results: [answer] }) },
    });
    const failed = { name: "TransportError", sent: "maybe", message: expect.stringContaining(says) };
    await expect(owner.db.query(contactById({ id: "x" }))).rejects.toMatchObject(failed);
    for (const statement of [contactById({ id: "x" }), contactById({ id: "x" }).asSql()]) {
      const error: unknown = await owner.db.transaction([statement]).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject(failed);
      expect(error).toBeInstanceOf(TransportError);
      expect(requestIdOf(error)).toBe(owner.transactions.at(-1)?.requestId);
    }
    await owner.db.query(sql`SELECT 1`);
  });

  it("is not held against rows that a replay has lost", async () => {
    await using owner = await startRecordingOwner({
      handlers: { transaction: () => ({ results: [{ changes: 1n }], rowsOmitted: true }) },
    });
    const { results } = await owner.db.transaction([contactById({ id: "x" })]);
    expect(results[0]).toMatchObject({ changes: 1n, rows: [] });
  });

  it("takes no reference in a query", async () => {
    await using owner = await startRecordingOwner();
    const id = sql<{ id: string }>`SELECT 1`.ref("id");
    await expect(owner.db.query(contactById({ id }))).rejects.toThrow("A query has no earlier steps");
    expect(owner.queries).toEqual([]);
  });
});
