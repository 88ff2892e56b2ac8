import type { LoadRow } from "../../src/row.ts";
import { redeemInvites } from "../../src/ways/redeem-invite.ts";

export const row: LoadRow = {
  kind: "load",
  measures: "the same while the assistant decides, in whose database the gateway works then",
  concurrency: [1, 16],
  service: { decides: "assistant" },
  comparedWith: "invites/redeem-gateway",
  open: redeemInvites,
};
