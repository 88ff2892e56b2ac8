import { type DeclaredStatement, defineStatement } from "@tandem/statements";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createStatementCheck, type StatementCheck } from "../statement-check.ts";
import { RegistrationError } from "./registration-error.ts";
import { createRegistry } from "./registry.ts";

let statements: StatementCheck;
beforeAll(async () => {
  statements = await createStatementCheck();
});
afterAll(() => statements[Symbol.asyncDispose]());

async function problemsOf(...declarations: readonly DeclaredStatement[]): Promise<readonly string[]> {
  try {
    await createRegistry(declarations, statements);
    return [];
  } catch (error) {
    if (error instanceof RegistrationError) return error.problems;
    throw error;
  }
}

const say = (sql: string, name = "a.b") => defineStatement({ name, sql });
const first = defineStatement({
  name: "a.b",
  params: { x: "int8" },
  sql: "SELECT $1 AS x",
  result: { x: "int8" },
});

describe("a registry", () => {
  it("gives a statement by its name, and takes the same one twice", async () => {
    const registry = await createRegistry([first, { ...first }, say("SELECT 1", "a.c")], statements);
    expect([...registry.keys()]).toEqual(["a.b", "a.c"]);
    expect(registry.get("a.b")).toMatchObject({ sql: first.sql, params: [{ name: "x" }] });
  });

  it.each([
    ["SQL", { sql: "SELECT $1 AS x " }],
    ["parameters", { params: { x: "int4" } }],
    ["parameters", { params: { y: "int8" } }],
    ["columns", { result: { x: "int8 | null" } }],
  ])("refuses a name that stands for two statements, with other %s", async (what, change) => {
    expect(await problemsOf(first, { ...first, ...change })).toEqual([
      `a.b is registered twice, with other ${what}: one of them needs another name.`,
    ]);
  });

  it.each([
    ["SELEC 1", "a.b: syntax error"],
    ["SELECT 1; SELECT 2", "a.b: A step is one statement; this text has 2."],
    ["COMMIT", "a.b: Only a SELECT, INSERT, UPDATE, DELETE or MERGE may stand here."],
    ["SELECT * FROM tandem.receipts", "a.b: The schema tandem holds receipts"],
  ])("refuses a text that may not be a step: %s", async (sql, says) => {
    expect(await problemsOf(say(sql))).toEqual([expect.stringContaining(says)]);
  });

  it("lists every problem", async () => {
    expect(await problemsOf(say("COMMIT"), first, say("ROLLBACK", "a.c"))).toHaveLength(3);
  });

  it.each([
    ["SELECT 1", true],
    ["WITH x AS (SELECT 1) SELECT * FROM x", true],
    ["SELECT 1 FROM t FOR SHARE", false],
    ["WITH x AS (DELETE FROM t RETURNING 1) SELECT * FROM x", false],
    ["DELETE FROM t", false],
    ["INSERT INTO t DEFAULT VALUES", false],
  ])("knows whether a query may be: %s", async (sql, reads) => {
    expect((await createRegistry([say(sql)], statements)).get("a.b")).toMatchObject({ reads });
  });
});
