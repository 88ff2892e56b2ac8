import { HandlerError } from "@tandem/rpc";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createStatementParser, type StatementParser } from "./statement-parser.ts";

const SIZE = 64 * 1024;

let parser: StatementParser;
beforeAll(async () => {
  parser = await createStatementParser();
});
afterAll(() => parser[Symbol.asyncDispose]());

const waiting = new AbortController().signal;
const parse = (sql: string): ReturnType<StatementParser["parse"]> => parser.parse(sql, waiting);

/** A text as long as one may be. */
function fill(start: string, unit: string, end = ""): string {
  return start + unit.repeat((SIZE - start.length - end.length) / unit.length) + end;
}
const columns = (SIZE - 24) / 4;
const slow = fill("SELECT 1", "/*", "*/".repeat(SIZE / 4 - 4));
const large = `UPDATE t SET (a${",a".repeat(columns)})=(1${",1".repeat(columns)})`;

describe("the parser of statements", () => {
  it.each([
    ["SELECT 1", { statements: 1, kind: "SelectStmt", usesOwnTables: false }],
    ["SELECT 1; DELETE FROM t", { statements: 2, kind: "SelectStmt", usesOwnTables: false }],
    ["-- nothing", { statements: 0, kind: "", usesOwnTables: false }],
    ["SELEC 1", { refused: 'syntax error at or near "SELEC"' }],
  ])("says what a text is: %s", async (sql, parsed) => {
    expect(await parse(sql)).toMatchObject(parsed);
  });

  it("refuses a text on which it would spend seconds, and goes on", async () => {
    const started = performance.now();
    await expect(parse(slow)).rejects.toMatchObject({ reason: "SQL_INVALID", outcome: "NOT_COMMITTED" });
    expect(performance.now() - started).toBeLessThan(2_500);
    expect(await parse("SELECT 1")).toMatchObject({
      statements: 1,
      kind: "SelectStmt",
      usesOwnTables: false,
    });
  });

  it("leaves the loop to others, and keeps no memory, where a text is too much for it", async () => {
    const before = process.memoryUsage().rss;
    let longestMs = 0;
    let last = performance.now();
    const watch = setInterval(() => {
      longestMs = Math.max(longestMs, performance.now() - last);
      last = performance.now();
    }, 1);
    for (let again = 0; again < 3; again += 1) await parse(large).catch(() => undefined);
    clearInterval(watch);
    expect(longestMs).toBeLessThan(300);
    await parse("SELECT 1");
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024);
  });

  it("takes the shortest of the texts that wait", async () => {
    const ends: string[] = [];
    const texts = [fill("SELECT 1", ",1"), fill("SELECT 2", ",2"), "SELECT 3"];
    await Promise.all(texts.map((sql) => parse(sql).then(() => ends.push(sql.slice(0, 8)))));
    expect(ends).toEqual(["SELECT 1", "SELECT 3", "SELECT 2"]);
  });

  it("lets a thousand texts wait; what comes beyond is told OVERLOADED at once", async () => {
    const texts = Array.from({ length: 1_002 }, (_, index) => `SELECT ${index}`);
    const ends = await Promise.allSettled(texts.map(parse));
    // The first one doesn't wait.
    expect(ends.filter(({ status }) => status === "fulfilled")).toHaveLength(1_001);
    expect(ends.at(-1)).toMatchObject({ reason: { reason: "OVERLOADED", outcome: "NOT_COMMITTED" } });
    expect(await parse("SELECT 1")).toMatchObject({ statements: 1 });
  });

  it("doesn't parse for a caller that left", async () => {
    const caller = new AbortController();
    const running = parse(fill("SELECT 1", ",1"));
    const left = parser.parse("SELECT 1", caller.signal);
    caller.abort();
    await expect(left).rejects.toThrow(HandlerError);
    await running;
  });
});
