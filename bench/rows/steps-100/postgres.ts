import type { LoadRow } from "../../src/row.ts";
import { withPostgres } from "../../src/ways/postgres.ts";
import { steps } from "../../src/workloads/steps.ts";

const workload = steps(100);

export const row: LoadRow = {
  kind: "load",
  measures: "100 steps, an UPDATE of a row each: postgres in process, begin and awaited statements",
  concurrency: [1, 16],
  workload,
  open: withPostgres(workload),
};
