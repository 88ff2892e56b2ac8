import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the same with a policy on tables and columns; the statements' texts are known by then",
  workload: pair,
  service: { policy: true },
  comparedWith: "policy/without",
  open: withTandem(pair),
};
