import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the pair: through @tandem/dbproxy without streams, each transaction a call",
  workload: pair,
  service: {},
  comparedWith: "pair/tandem",
  open: withTandem(pair, { streams: false }),
};
