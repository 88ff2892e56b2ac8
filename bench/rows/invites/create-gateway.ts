import type { LoadRow } from "../../src/row.ts";
import { createInvites } from "../../src/ways/create-invite.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "an invite created at the gateway, while the gateway decides",
  concurrency: [1, 16],
  service: { decides: "gateway" },
  comparedWith: "invites/create-postgres",
  open: createInvites,
};
