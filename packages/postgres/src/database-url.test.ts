import { expect, test } from "vitest";
import { ConnectError } from "./connect-error.ts";
import { parseDatabaseUrl, withDatabase } from "./database-url.ts";

test("reads every part, decoded", () => {
  expect(parseDatabaseUrl("postgresql://r%40le:p%2Fss%3A@[::1]:6000/d%20b?sslmode=verify-full")).toEqual({
    host: "::1",
    port: 6000,
    database: "d b",
    role: "r@le",
    password: "p/ss:",
    tls: "verify-full",
  });
  expect(parseDatabaseUrl("postgres://r@h/d")).toMatchObject({ port: 5432, password: "", tls: "disable" });
});

test.each([
  ["nonsense", "can't be read"],
  ["https://r:secret@h/d", "doesn't begin with postgresql://"],
  ["postgresql://:secret@h/d", "names no role"],
  ["postgresql://r:secret@h", "names no database"],
  ["postgresql://r:secret@h/d?sslmode=prefer", "none of disable, require, verify-full"],
  ["postgresql://r:secret@h/d?options=-c", 'an option "options"'],
  ["postgresql://r:secret%zz@h/d", "percent sign"],
  ["postgresql://r:secret@h1,h2:1/d", "several hosts"],
])("says what is wrong with %s, without the password", (url, problem) => {
  const failure = thrownBy(() => parseDatabaseUrl(url));
  expect(failure).toBeInstanceOf(ConnectError);
  expect(failure).toMatchObject({ failure: "INVALID_URL", passing: false });
  expect(failure.message).toContain(problem);
  expect(failure.message).not.toContain("secret");
});

test("names another database of the same server", () => {
  expect(withDatabase("postgresql://r:p@h:1/d?sslmode=require", "a b")).toBe(
    "postgresql://r:p@h:1/a%20b?sslmode=require",
  );
});

function thrownBy(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("It threw no error.");
}
