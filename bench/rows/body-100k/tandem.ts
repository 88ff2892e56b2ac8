import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { body } from "../../src/workloads/body.ts";

const workload = body(102_400);

export const row: LoadRow = {
  kind: "load",
  measures: "a row of 100 KiB written and one read: DbProxy.Transaction through @tandem/dbproxy",
  concurrency: [1, 16],
  workload,
  service: {},
  open: withTandem(workload),
};
