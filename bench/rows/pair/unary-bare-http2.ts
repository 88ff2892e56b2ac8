import type { LoadRow } from "../../src/row.ts";
import { withBareHttp2 } from "../../src/ways/bare-http2.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the pair: single calls with nothing on, by a client of node:http2 that frames gRPC by hand",
  workload: pair,
  service: {},
  comparedWith: "pair/postgres",
  open: withBareHttp2(pair),
};
