import type { LoadRow } from "../../src/row.ts";
import { withPostgres } from "../../src/ways/postgres.ts";
import { steps } from "../../src/workloads/steps.ts";

const workload = steps(10);

export const row: LoadRow = {
  kind: "load",
  measures: "10 steps, an UPDATE of a row each: postgres in process, begin and awaited statements",
  workload,
  open: withPostgres(workload),
};
