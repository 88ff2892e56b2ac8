import type { LoadRow } from "../../src/row.ts";
import { withStatementCheck } from "../../src/ways/statement-check.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures:
    "the check of the pair's texts alone, in process, without a policy: µs of client is all that there is",
  concurrency: [1],
  open: withStatementCheck(pair, { policy: false }),
};
