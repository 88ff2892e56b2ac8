import type { LoadRow } from "../../src/row.ts";
import { withStatementCheck } from "../../src/ways/statement-check.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the same with a policy: the difference is what it takes of a transaction's processor time",
  concurrency: [1],
  comparedWith: "check/without",
  open: withStatementCheck(pair, { policy: true }),
};
