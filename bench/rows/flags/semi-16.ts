import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "a young generation that may be half as large as by default: less memory",
  workload: pair,
  service: { flags: ["--max-semi-space-size=16"] },
  comparedWith: "flags/none",
  open: withTandem(pair),
};
