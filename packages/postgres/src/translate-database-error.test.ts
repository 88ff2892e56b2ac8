import { inspect } from "node:util";
import { HandlerError } from "@tandem/rpc";
import { DrizzleQueryError } from "drizzle-orm";
import { describe, expect, test } from "vitest";
import { ConnectError } from "./connect-error.ts";
import { isStalePlan } from "./foreign-error.ts";
import { translateDatabaseError } from "./translate-database-error.ts";

const secret = "bind-value-4711";

function serverError(fields: Readonly<Record<string, string>>): Error {
  return Object.assign(new Error(fields["message"] ?? "message"), { severity: "ERROR", ...fields });
}

function coded(code: string | undefined, message = "message", fields: object = {}): Error {
  return Object.assign(new Error(message), code === undefined ? fields : { code, ...fields });
}

describe("an error of PostgreSQL's", () => {
  test.each([
    ["postgres", { schema_name: "s", table_name: "t", column_name: "c", constraint_name: "k" }],
    ["pg", { schema: "s", table: "t", column: "c", constraint: "k" }],
  ])("keeps the names that %s passes on, and no DETAIL", (_driver, names) => {
    const original = serverError({
      code: "23505",
      message: 'duplicate key value violates unique constraint "k"',
      detail: `Key (c)=(${secret}) already exists.`,
      hint: secret,
      where: secret,
      ...names,
    });
    const error = translateDatabaseError(original, { step: 3 });
    expect(error.database).toEqual({
      sqlstate: "23505",
      schema: "s",
      table: "t",
      column: "c",
      constraint: "k",
    });
    expect(error.message).toBe('duplicate key value violates unique constraint "k"');
    expect(error.step).toBe(3);
    expect(error.cause).toMatchObject({ name: "DatabaseError", sqlstate: "23505", severity: "ERROR" });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(secret);
  });

  test("is found behind drizzle's error, whose message and parameters are not passed on", () => {
    const original = serverError({ code: "23503", message: "violates", constraint_name: "k" });
    const wrapped = new DrizzleQueryError(`insert into t values ('${secret}')`, [secret], original);
    const error = translateDatabaseError(wrapped);
    expect(error).toMatchObject({ reason: "FOREIGN_KEY_VIOLATION", message: "violates" });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(secret);
  });

  test.each(["22P02", "22003", "23P01", "XX000", "53100", "28P01"])(
    "%s: a message that can hold a value is replaced by our own sentence",
    (code) => {
      const error = translateDatabaseError(
        serverError({ code, message: `invalid: "${secret}"`, position: "8" }),
      );
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(secret);
      expect(error.message).toMatch(/^[A-Z].*\.$/);
    },
  );

  test.each(["42601", "42P01", "42883", "0A000", "54000"])(
    "%s: the message is kept when the parser made it, and replaced when execution did",
    (code) => {
      const message = `syntax error in tsquery: "${secret}"`;
      expect(translateDatabaseError(serverError({ code, message, position: "15" })).message).toBe(message);
      expect(translateDatabaseError(serverError({ code, message })).message).not.toContain(secret);
    },
  );

  test("has its message cut to 1 KiB and its names to 256 bytes, between characters", () => {
    const error = translateDatabaseError(
      serverError({ code: "P0001", message: "ä€😀".repeat(500), constraint_name: "😀".repeat(100) }),
    );
    for (const [text, bytes] of [
      [error.message, 1_024],
      [error.database?.constraint ?? "", 256],
    ] as const) {
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(bytes);
      expect(Buffer.byteLength(text)).toBeGreaterThan(bytes - 8);
      expect(text.isWellFormed()).toBe(true);
    }
  });

  test("57014 is a timeout: PostgreSQL doesn't say who cancelled", () => {
    const cancelled = serverError({ code: "57014", message: "canceling statement due to user request" });
    expect(translateDatabaseError(cancelled).reason).toBe("STATEMENT_TIMEOUT");
  });

  test("of a plan that no longer fits is known by its code and routine", () => {
    expect(isStalePlan(serverError({ code: "26000" }))).toBe(true);
    expect(isStalePlan(serverError({ code: "0A000", routine: "RevalidateCachedQuery" }))).toBe(true);
    expect(isStalePlan(serverError({ code: "0A000", routine: "transformLockingClause" }))).toBe(false);
  });
});

describe("a connection that failed", () => {
  const refused = [
    new ConnectError({ failure: "REFUSED", message: "Nothing listens at 10.0.0.1:5432" }),
    new AggregateError([coded("ECONNREFUSED")], "", { cause: coded("ECONNREFUSED") }),
    coded("ECONNREFUSED"),
    coded("ENOENT", "no socket", { syscall: "connect" }),
    coded("ENOTFOUND"),
    coded("CONNECT_TIMEOUT"),
    coded("CONNECTION_ENDED"),
    coded("SELF_SIGNED_CERT_IN_CHAIN"),
    coded(undefined, "timeout exceeded when trying to connect"),
    coded(undefined, "Cannot use a pool after calling end on the pool"),
  ];
  const lost = [
    coded("CONNECTION_CLOSED"),
    coded("CONNECTION_DESTROYED"),
    coded("ECONNRESET"),
    coded("EPIPE"),
    coded(undefined, "Connection terminated unexpectedly"),
  ];

  test.each([...refused, ...lost])("is DATABASE_UNAVAILABLE, without an address: %s", (thrown) => {
    const error = translateDatabaseError(thrown);
    expect(error).toMatchObject({
      reason: "DATABASE_UNAVAILABLE",
      outcome: "NOT_COMMITTED",
      retryable: true,
    });
    expect(error.message).toBe("The database can't be reached at the moment.");
    expect(error.retryAfterMs).toBeGreaterThan(0);
  });

  test.each(refused)("leaves no doubt during a commit, having carried nothing: %s", (thrown) => {
    expect(translateDatabaseError(thrown, { during: "commit" }).outcome).toBe("NOT_COMMITTED");
  });

  test.each([
    ...lost,
    serverError({ code: "57P01", severity: "FATAL" }),
    serverError({ code: "25P04", severity: "FATAL" }),
    serverError({ code: "XX000", severity: "PANIC" }),
  ])("leaves the outcome unknown during a commit: %s", (thrown) => {
    const error = translateDatabaseError(thrown, { during: "commit" });
    expect(error).toMatchObject({ reason: "COMMIT_OUTCOME_UNKNOWN", outcome: "UNKNOWN", retryable: true });
  });

  test.each(["23505", "40001", "P0001"])("is not what %s at COMMIT is: that is a rollback", (code) => {
    const error = translateDatabaseError(serverError({ code }), { during: "commit" });
    expect(error.outcome).toBe("NOT_COMMITTED");
  });
});

describe("what is no error of the database's", () => {
  test("is returned as it is when a handler made it", () => {
    const made = new HandlerError({ reason: "GUARD_UNMET", message: "no" });
    expect(translateDatabaseError(made)).toBe(made);
  });

  test.each([
    new TypeError("x is not a function"),
    coded("ENOENT", "no such file", { syscall: "open" }),
    coded("EPERM1"),
    coded("ABCDE"),
    "text",
    undefined,
  ])("is a defect of ours, of unknown outcome, without a word of it: %s", (thrown) => {
    const error = translateDatabaseError(thrown);
    expect(error).toMatchObject({ reason: "HANDLER_FAILED", outcome: "UNKNOWN", cause: thrown });
    expect(error.message).toBe("The service failed; its log says more.");
  });

  test("is told apart even when its causes go round in a ring", () => {
    const ring = new Error("ring");
    ring.cause = ring;
    expect(translateDatabaseError(ring).reason).toBe("HANDLER_FAILED");
  });
});
