import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the pair: the same with everything on: certificates on both sides, a request_id, a policy",
  workload: pair,
  service: { tls: true, policy: true },
  comparedWith: "pair/postgres",
  open: withTandem(pair),
};
