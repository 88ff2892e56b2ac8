import type { LoadRow } from "../../src/row.ts";
import { withContract } from "../../src/ways/contract.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the same without a request_id: no receipt is written",
  workload: pair,
  service: {},
  comparedWith: "pair/contract",
  open: withContract(pair, { requestId: false }),
};
