import type { ProgramRow } from "../../src/row.ts";
import { verifyMirror } from "../../src/ways/verify-mirror.ts";

export const row: ProgramRow = {
  kind: "program",
  measures: "VerifyMirror, rows compared a second; p50 is the time that a million would take",
  concurrency: [1],
  // Nothing but what it compares is in these databases.
  service: { decides: "assistant", twin: "verify" },
  interval: verifyMirror,
};
