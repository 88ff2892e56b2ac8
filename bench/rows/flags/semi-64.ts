import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "a young generation that may be larger: garbage is looked for less often",
  workload: pair,
  service: { flags: ["--max-semi-space-size=64"] },
  comparedWith: "flags/none",
  open: withTandem(pair),
};
