import type { ProgramRow } from "../../src/row.ts";
import { withPgbench } from "../../src/ways/pgbench.ts";
import { tpcb } from "../../src/workloads/tpcb.ts";

export const row: ProgramRow = {
  measures: "TPC-B: pgbench -M prepared, which leaves guards unchecked",
  ...withPgbench(tpcb),
};
