import type { LoadRow } from "../../src/row.ts";
import { withProbe } from "../../src/ways/probe.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the same over TLS 1.3 with certificates on both sides",
  service: { tls: true },
  comparedWith: "probe/tandem",
  open: withProbe,
};
