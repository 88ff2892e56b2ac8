import type { LoadRow } from "../../src/row.ts";
import { withTandem } from "../../src/ways/tandem.ts";
import { pair } from "../../src/workloads/pair.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the pair: through @tandem/dbproxy over TLS 1.3 with certificates on both sides",
  workload: pair,
  service: { tls: true },
  comparedWith: "pair/tandem",
  open: withTandem(pair),
};
