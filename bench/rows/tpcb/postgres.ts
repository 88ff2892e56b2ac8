import type { LoadRow } from "../../src/row.ts";
import { withPostgres } from "../../src/ways/postgres.ts";
import { tpcb } from "../../src/workloads/tpcb.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "TPC-B: postgres in process, begin and awaited statements",
  workload: tpcb,
  open: withPostgres(tpcb),
};
