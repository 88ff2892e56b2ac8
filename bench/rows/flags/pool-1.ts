import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "one thread beside the main one for V8's compilers and garbage collector, not four",
  workload: pair,
  service: { flags: ["--v8-pool-size=1"] },
  comparedWith: "flags/none",
  open: withTandem(pair),
};
