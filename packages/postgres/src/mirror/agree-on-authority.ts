import { randomUUID } from "node:crypto";
import { afterWriters, type Waiting } from "./after-writers.ts";
import type { Authority } from "./authority.ts";
import type { MirrorSide } from "./mirror-side.ts";

/**
 * What the two say when both have the same epoch, in their order. The one with the lower epoch is told first what became
 * of moves of which it doesn't know: whoever moved the authority died before it did, or that database was restored as
 * it was before. Its writers are stopped for it. Fails with what a side fails with.
 */
export async function agreeOnAuthority(
  sides: readonly [MirrorSide, MirrorSide],
  waiting: Waiting,
): Promise<readonly [Authority, Authority]> {
  for (;;) {
    const [one, other] = [await sides[0].authority(), await sides[1].authority()];
    if (one.epoch < other.epoch) await tell(sides[0], { behind: one, ahead: other }, waiting);
    else if (other.epoch < one.epoch) await tell(sides[1], { behind: other, ahead: one }, waiting);
    else return [one, other];
  }
}

/** Of one move, whose place any other one takes: that it has ended is known. */
async function tell(
  side: MirrorSide,
  { behind: { epoch, move }, ahead }: { readonly behind: Authority; readonly ahead: Authority },
  waiting: Waiting,
): Promise<void> {
  const known = move ?? (await afterWriters(() => side.beginMove(epoch, randomUUID()), waiting)).move;
  if (known === null) return;
  await afterWriters(() => side.endMove(epoch, known, ahead.authority), waiting);
}
