import type { MirrorSide } from "./mirror-side.ts";

const PAGE = 500;

/**
 * Forgets that the mirror has refused rows that it has come to have since: the authority can't move while anything is
 * parked. It asks the mirror what it has, so that it also finds those that somebody repaired who died before this.
 */
export async function releaseParked(
  { decides, mirror }: { readonly decides: MirrorSide; readonly mirror: MirrorSide },
  aggregate: string,
): Promise<void> {
  for (let after: string | undefined; ;) {
    const parked = await decides.parked(aggregate, { after, maxRows: PAGE });
    if (parked.length === 0) return;
    const ids = parked.map(({ id }) => id);
    const known = new Set((await decides.read(aggregate, ids)).map(({ id }) => id));
    const versions = new Map((await mirror.read(aggregate, ids)).map(({ id, version }) => [id, version]));
    // Of what neither side has nothing can be brought.
    const there = parked.filter(
      ({ id, version }) => (versions.get(id) ?? (known.has(id) ? 0n : version)) >= version,
    );
    if (there.length > 0) await decides.release(aggregate, there);
    after = parked.at(-1)?.id;
  }
}
