import type { Authority, MirrorSide } from "@tandem/postgres";
import { HandlerError, settlesWithin } from "@tandem/rpc";

// Where the other side doesn't answer, what is known here is said.
const PATIENCE_MS = 1_000;

/**
 * Who decides, as both sides have it. The one that knows of a later move is right: the other one has not been told yet.
 * While they differ the authority moves, or whoever moved it died.
 */
export async function readAuthorities(
  own: Pick<MirrorSide, "authority">,
  other: Pick<MirrorSide, "authority">,
): Promise<Authority> {
  const told = other.authority().catch((error: unknown) => {
    if (error instanceof HandlerError) return undefined;
    throw error;
  });
  const [ours, answered] = await Promise.all([own.authority(), settlesWithin(told, PATIENCE_MS)]);
  const theirs = answered ? await told : undefined;
  if (theirs === undefined || (theirs.epoch === ours.epoch && theirs.phase === ours.phase)) return ours;
  return { ...(theirs.epoch > ours.epoch ? theirs : ours), phase: "draining" };
}
