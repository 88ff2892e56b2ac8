import type { LoadRow } from "../../src/row.ts";
import { withPostgres } from "../../src/ways/postgres.ts";
import { body } from "../../src/workloads/body.ts";

const workload = body(102_400);

export const row: LoadRow = {
  kind: "load",
  measures: "a row of 100 KiB written and one read: postgres in process, begin and awaited statements",
  concurrency: [1, 16],
  workload,
  open: withPostgres(workload),
};
