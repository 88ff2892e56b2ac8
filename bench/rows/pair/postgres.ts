import type { LoadRow } from "../../src/row.ts";
import { withPostgres } from "../../src/ways/postgres.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures:
    "the pair, a guarded UPDATE and an upsert in one transaction: postgres in process, begin and awaited statements",
  workload: pair,
  open: withPostgres(pair),
};
