import { authorityStatements } from "@tandem/assistant-statements";
import { HandlerError } from "@tandem/rpc";
import type { Decider, ReadOptions } from "./decider.ts";
import { step } from "./declared-step.ts";

/**
 * Makes sure that a side decides, before what it doesn't have is said not to be there. It is believed to decide for a
 * while after it doesn't any more, and what a mirror lacks may be on its way. What is read behind this is what was decided
 * by now. Fails with NOT_AUTHORITATIVE.
 */
export async function requireAuthority(decider: Decider, options: ReadOptions): Promise<void> {
  const [row] = await decider.read(step(authorityStatements.read, {}), options);
  if (row?.authority === decider.side && row.phase === "settled") return;
  const message = "Another database decides about these rows by now, or will soon: try again.";
  throw new HandlerError({ reason: "NOT_AUTHORITATIVE", message });
}
