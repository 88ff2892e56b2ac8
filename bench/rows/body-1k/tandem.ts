import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { body } from "../../src/workloads/body.ts";

const workload = body(1_024);

export const row: LoadRow = {
  kind: "load",
  measures: "a row of 1 KiB written and one read: DbProxy.Transaction through @tandem/dbproxy",
  workload,
  service: {},
  open: withTandem(workload),
};
