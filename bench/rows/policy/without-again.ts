import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "without a policy once more, in processes of its own: what differs here is noise",
  workload: pair,
  service: { twin: "policy/without-again" },
  comparedWith: "policy/without",
  open: withTandem(pair),
};
