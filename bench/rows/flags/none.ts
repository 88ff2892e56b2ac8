import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the pair through @tandem/dbproxy, to a service that is started without flags of V8",
  workload: pair,
  service: { twin: "flags/none" },
  open: withTandem(pair),
};
