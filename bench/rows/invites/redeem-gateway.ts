import type { LoadRow } from "../../src/row.ts";
import { redeemInvites } from "../../src/ways/redeem-invite.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "an invite redeemed at the gateway by somebody new, while the gateway decides",
  concurrency: [1, 16],
  service: { decides: "gateway" },
  open: redeemInvites,
};
