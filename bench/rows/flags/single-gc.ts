import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "no threads of the garbage collector's: all of its work is done on the main one",
  workload: pair,
  service: { flags: ["--single-threaded-gc"] },
  comparedWith: "flags/none",
  open: withTandem(pair),
};
