import { describe, expect, test } from "vitest";
import { reasonOfSqlstate } from "./sqlstate.ts";
import { translateDatabaseError } from "./translate-database-error.ts";

// Row by row, what a caller of a service is promised.
const rows = [
  { codes: ["23505"], reason: "UNIQUE_VIOLATION" },
  { codes: ["23503", "23001"], reason: "FOREIGN_KEY_VIOLATION" },
  { codes: ["23514", "44000"], reason: "CHECK_VIOLATION" },
  { codes: ["23P01"], reason: "EXCLUSION_VIOLATION" },
  { codes: ["21000"], reason: "RAISED" },
  { codes: ["P0001", "P0002", "P0004", "TX001", "45000", "99ZZZ", "23000", "02000"], reason: "RAISED" },
  { codes: ["23502"], reason: "NOT_NULL_VIOLATION" },
  { codes: ["22P02", "22003", "22001", "22012", "22000"], reason: "DATA_EXCEPTION" },
  { codes: ["42601", "42804", "42P10", "42704", "54000", "54001", "54023"], reason: "SQL_INVALID" },
  { codes: ["42P01", "42703", "42883", "3F000"], reason: "SCHEMA_MISMATCH" },
  { codes: ["42501"], reason: "INSUFFICIENT_PRIVILEGE" },
  { codes: ["40001"], reason: "SERIALIZATION_FAILURE" },
  { codes: ["40P01"], reason: "DEADLOCK" },
  { codes: ["55P03"], reason: "LOCK_TIMEOUT" },
  { codes: ["25006"], reason: "NOT_PRIMARY" },
  { codes: ["TD001"], reason: "NOT_AUTHORITATIVE" },
  { codes: ["57014"], reason: "STATEMENT_TIMEOUT" },
  { codes: ["25P03", "25P04"], reason: "TRANSACTION_TIMEOUT" },
  { codes: ["53300"], reason: "OVERLOADED" },
  { codes: ["53100", "53200", "53400"], reason: "DATABASE_RESOURCES" },
  { codes: ["57P01", "57P02", "57P03", "57P04", "57P05"], reason: "DATABASE_UNAVAILABLE" },
  { codes: ["08006", "08P01", "28P01", "28000", "3D000"], reason: "DATABASE_UNAVAILABLE" },
  { codes: ["08007", "40003"], reason: "COMMIT_OUTCOME_UNKNOWN" },
  { codes: ["0A000"], reason: "NOT_SUPPORTED" },
  { codes: ["XX001", "XX002"], reason: "DATA_CORRUPTED" },
  {
    codes: ["XX000", "58030", "25P02", "40002", "53000", "55000", "HV000", "F0000"],
    reason: "DATABASE_INTERNAL",
  },
] as const;

describe("a SQLSTATE's reason", () => {
  test.each(rows)("$codes is $reason", ({ codes, reason }) => {
    for (const code of codes) expect([code, reasonOfSqlstate(code)]).toEqual([code, reason]);
  });

  test("says of the outcome that it is unknown where it is, and nowhere else", () => {
    for (const { codes, reason } of rows) {
      for (const code of codes) {
        const error = translateDatabaseError(Object.assign(new Error("m"), { code, severity: "ERROR" }));
        expect([code, error.outcome]).toEqual([
          code,
          reason === "COMMIT_OUTCOME_UNKNOWN" ? "UNKNOWN" : "NOT_COMMITTED",
        ]);
      }
    }
  });
});
