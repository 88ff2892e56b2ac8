import type { LoadRow } from "../../src/row.ts";
import { withContract } from "../../src/ways/contract.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the pair: DbProxy.Transaction through the generated contract, with a request_id",
  workload: pair,
  service: {},
  comparedWith: "pair/tandem",
  open: withContract(pair, { requestId: true }),
};
