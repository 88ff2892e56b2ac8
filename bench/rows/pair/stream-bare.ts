import type { LoadRow } from "../../src/row.ts";
import { withStream } from "../../src/ways/stream.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures:
    "the pair: one TransactionStream through the generated contract, with nothing on: no TLS, request_id, policy",
  workload: pair,
  service: {},
  comparedWith: "pair/postgres",
  open: withStream(pair),
};
