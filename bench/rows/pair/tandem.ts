import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the pair: DbProxy.Transaction through @tandem/dbproxy",
  workload: pair,
  service: {},
  comparedWith: "pair/postgres",
  open: withTandem(pair),
};
