import type { LoadRow } from "../../src/row.ts";
import { withPostgres } from "../../src/ways/postgres.ts";
import { body } from "../../src/workloads/body.ts";

const workload = body(1_024);

export const row: LoadRow = {
  kind: "load",
  measures: "a row of 1 KiB written and one read: postgres in process, begin and awaited statements",
  workload,
  open: withPostgres(workload),
};
