import { assistantInvites, inviteStatements } from "@tandem/assistant-statements";
import type { DeclaredRow } from "@tandem/dbproxy";
import type { InviteRow, StatusName } from "@tandem/invites";
import type { Side } from "../authority/decider.ts";

const own = inviteStatements("ingress_invites");

/** What is done with invites on a side. */
export function statementsOf(side: Side): typeof own {
  return side === "gateway" ? own : assistantInvites;
}

/** A row as a statement gives it. */
export type GivenInvite = DeclaredRow<(typeof own)["byId"]["result"]>;

/** The row as `@tandem/invites` knows it. */
export function toRow(given: GivenInvite): InviteRow {
  return {
    ...given,
    voice_code_digits: given.voice_code_digits === null ? null : Number(given.voice_code_digits),
    max_uses: Number(given.max_uses),
    use_count: Number(given.use_count),
    // The table allows no other.
    status: given.status as StatusName,
  };
}
