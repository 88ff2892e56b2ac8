import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the same once more, in a process of its own: what differs here is noise",
  workload: pair,
  service: { twin: "flags/none-again" },
  comparedWith: "flags/none",
  open: withTandem(pair),
};
