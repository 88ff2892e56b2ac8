import type { LoadRow } from "../../src/row.ts";
import { withPostgres } from "../../src/ways/postgres.ts";
import { creation } from "../../src/workloads/creation.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the INSERTs of a creation (invite, outbox, receipt): the driver `postgres` in process",
  workload: creation,
  concurrency: [1, 16],
  open: withPostgres(creation),
};
