import type { ProgramRow } from "../../src/row.ts";
import { withPgbench } from "../../src/ways/pgbench.ts";
import { steps } from "../../src/workloads/steps.ts";

export const row: ProgramRow = {
  measures: "100 steps, an UPDATE of a row each: pgbench -M prepared, which leaves guards unchecked",
  concurrency: [1, 16],
  ...withPgbench(steps(100)),
};
