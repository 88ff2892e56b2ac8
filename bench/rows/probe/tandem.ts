import type { LoadRow } from "../../src/row.ts";
import { withProbe } from "../../src/ways/probe.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "DbProxy.Probe: a gRPC call that does nothing",
  service: {},
  open: withProbe,
};
