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
const parse = (sql: string, caller = "one"): ReturnType<StatementParser["parse"]> =>
  parser.parse(sql, { caller, signal: waiting });

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

  it("refuses a text on which it would spend seconds before it has spent one, and goes on", async () => {
    const before = process.cpuUsage();
    await expect(parse(slow)).rejects.toMatchObject({
      reason: "SQL_INVALID",
      outcome: "NOT_COMMITTED",
      message: expect.stringContaining("takes too long"),
    });
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(600);
    expect(await parse("SELECT 1")).toMatchObject({
      statements: 1,
      kind: "SelectStmt",
      usesOwnTables: false,
    });
  });

  it("says of a text that is too much for it that it is, and nothing of its grammar", async () => {
    const texts = [
      `SELECT ${"(SELECT ".repeat(3_000)}1${")".repeat(3_000)}`,
      `SELECT ${"NOT ".repeat(8_000)}true`,
      `SELECT 1${"+1".repeat(20_000)}`,
    ];
    for (const text of texts) {
      const parsed = await parse(text).catch(({ message }: Error) => ({ refused: message }));
      // Which of both it is first depends on the machine.
      expect(parsed).toEqual({
        refused: expect.stringMatching(
          /too large or too deeply nested to be judged|takes too long to be parsed/,
        ),
      });
    }
    expect(await parse("SELECT 1")).toMatchObject({ statements: 1 });
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

  it("gives back what an accepted text has taken of the memory", async () => {
    await using own = await createStatementParser();
    const accept = async (sql: string): Promise<void> => {
      expect(await own.parse(sql, { caller: "one", signal: waiting })).toMatchObject({ statements: 1 });
    };
    await accept("SELECT 1");
    const before = process.memoryUsage().rss;
    // 220 columns, which the tree holds 220 times over.
    const list = (of: string): string => Array.from({ length: 220 }, () => of).join();
    for (let again = 0; again < 8; again += 1) {
      await accept(`UPDATE t SET (${list("a")})=(${list("1")}) WHERE id=${again}`);
    }
    await accept("SELECT 1");
    // A thread that is kept holds 86 MiB by then; 17 are of what threads that end leave to the process.
    expect(process.memoryUsage().rss - before).toBeLessThan(50 * 1024 * 1024);
  });

  it("takes another caller's text before the rest of one caller's", async () => {
    const ends: string[] = [];
    const texts = [
      [fill("SELECT 1", ",1"), "one"],
      ["SELECT 2", "one"],
      ["SELECT 3 + 3", "another"],
    ] as const;
    await Promise.all(
      texts.map(([sql, caller]) => parse(sql, caller).then(() => ends.push(sql.slice(7, 8)))),
    );
    expect(ends).toEqual(["1", "3", "2"]);
  });

  it("lets a thousand texts of a caller wait; what comes beyond is told OVERLOADED at once", async () => {
    const texts = Array.from({ length: 1_002 }, (_, index) => `SELECT ${index}`);
    const calls = texts.map((sql) => parse(sql));
    const others = parse("SELECT 1", "another");
    const ends = await Promise.allSettled(calls);
    // The first one doesn't wait.
    expect(ends.filter(({ status }) => status === "fulfilled")).toHaveLength(1_001);
    expect(ends.at(-1)).toMatchObject({ reason: { reason: "OVERLOADED", outcome: "NOT_COMMITTED" } });
    expect(await others).toMatchObject({ statements: 1 });
    expect(await parse("SELECT 1")).toMatchObject({ statements: 1 });
  });

  it("doesn't parse for a caller that left", async () => {
    const caller = new AbortController();
    const running = parse(fill("SELECT 1", ",1"));
    const left = parser.parse("SELECT 1", { caller: "one", signal: caller.signal });
    caller.abort();
    await expect(left).rejects.toThrow(HandlerError);
    await running;
  });
});
