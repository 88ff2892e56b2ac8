import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { steps } from "../../src/workloads/steps.ts";

const workload = steps(10);

export const row: LoadRow = {
  kind: "load",
  measures: "10 steps, an UPDATE of a row each: DbProxy.Transaction through @tandem/dbproxy",
  workload,
  service: {},
  open: withTandem(workload),
};
