import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { tpcb } from "../../src/workloads/tpcb.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "TPC-B: DbProxy.Transaction through @tandem/dbproxy",
  workload: tpcb,
  service: {},
  open: withTandem(tpcb),
};
