import type { ProgramRow } from "../../src/row.ts";
import { withPgbench } from "../../src/ways/pgbench.ts";
import { steps } from "../../src/workloads/steps.ts";

export const row: ProgramRow = {
  measures: "1 step, an UPDATE of a row each: pgbench -M prepared, which leaves guards unchecked",
  ...withPgbench(steps(1)),
};
