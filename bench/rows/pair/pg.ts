import type { LoadRow } from "../../src/row.ts";
import { withPg } from "../../src/ways/pg.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the pair: pg in process, awaited statements without names",
  workload: pair,
  comparedWith: "pair/postgres",
  open: withPg(pair),
};
