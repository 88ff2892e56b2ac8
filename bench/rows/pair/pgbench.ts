import type { ProgramRow } from "../../src/row.ts";
import { withPgbench } from "../../src/ways/pgbench.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: ProgramRow = {
  measures: "the pair: pgbench -M prepared, which leaves guards unchecked",
  ...withPgbench(pair),
};
