import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { steps } from "../../src/workloads/steps.ts";

const workload = steps(100);

export const row: LoadRow = {
  kind: "load",
  measures: "100 steps, an UPDATE of a row each: DbProxy.Transaction through @tandem/dbproxy",
  concurrency: [1, 16],
  workload,
  service: {},
  open: withTandem(workload),
};
