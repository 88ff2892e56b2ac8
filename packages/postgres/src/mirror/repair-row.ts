import { compareItems, type FindingKind } from "./compare-rows.ts";
import type { MirrorSide } from "./mirror-side.ts";
import type { MirrorItem } from "./outbox.ts";
import { isOfTheItem } from "./relay.ts";

/** In which direction what is found is mended: the side that decides may be the one that lost rows. */
export type RepairDirection = "none" | "follow authority" | "recover authority";

/** A row of which the two sides don't have the same, as both were read. */
export interface DifferingRow {
  readonly id: string;
  readonly kind: FindingKind;
  readonly decided: MirrorItem | undefined;
  readonly mirrored: MirrorItem | undefined;
}

interface Repairing {
  readonly decides: MirrorSide;
  readonly mirror: MirrorSide;
  readonly repair: RepairDirection;
}

/** Says whether it has made the two sides agree. What one of them refuses for the row's own sake stays as it is. */
export async function repairRow(
  repairing: Repairing,
  aggregate: string,
  row: DifferingRow,
): Promise<boolean> {
  try {
    return await mend(repairing, aggregate, row);
  } catch (error) {
    if (isOfTheItem(error)) return false;
    throw error;
  }
}

async function mend(
  repairing: Repairing,
  aggregate: string,
  { id, kind, decided, mirrored }: DifferingRow,
): Promise<boolean> {
  const { decides, mirror, repair: direction } = repairing;
  if (direction === "none") return false;
  const isAhead = kind === "newer" || kind === "orphan";
  if (direction === "recover authority") {
    if (!isAhead || mirrored === undefined) return false;
    await decides.recover(aggregate, mirrored);
  } else if (kind === "orphan" && mirrored !== undefined) {
    await mirror.apply(aggregate, { id, version: mirrored.version + 1n, state: undefined });
    return true;
  } else if (kind === "newer" || decided === undefined) {
    return false;
  } else if (kind === "different") {
    // The same version of two contents: only a higher one is taken.
    await decides.recover(aggregate, decided);
  }
  const left = await bring(repairing, aggregate, id);
  if (left === undefined) return true;
  // A child of the same version with other content, or another row that has there what is unique: what is written now is
  // later than either.
  await decides.recover(aggregate, left);
  return (await bring(repairing, aggregate, id)) === undefined;
}

/** Brings the mirror what the deciding side has by now, and gives that where the two differ all the same. */
async function bring(
  { decides, mirror }: Repairing,
  aggregate: string,
  id: string,
): Promise<MirrorItem | undefined> {
  const [current] = await decides.read(aggregate, [id]);
  if (current === undefined) return undefined;
  await mirror.apply(aggregate, current);
  const [mirrored] = await mirror.read(aggregate, [id]);
  return compareItems({ decided: current, mirrored }) === "different" ? current : undefined;
}
