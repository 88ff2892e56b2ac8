import type { RowVersion } from "./mirror-side.ts";
import type { MirrorItem } from "./outbox.ts";

/** What is wrong with a row of the mirror. */
export type FindingKind = "missing" | "stale" | "different" | "orphan" | "newer";

export interface RowPair {
  /** As the side that decides has it. */
  readonly decided: Pick<RowVersion, "version" | "deleted" | "digest"> | undefined;
  readonly mirrored: Pick<RowVersion, "version" | "deleted" | "digest"> | undefined;
}

/** What is wrong, if anything. Whether a deletion is still remembered makes no difference where nothing is there. */
export function compareRows({ decided, mirrored }: RowPair): FindingKind | undefined {
  const isHere = decided !== undefined && !decided.deleted;
  const isThere = mirrored !== undefined && !mirrored.deleted;
  if (!isHere && !isThere) return undefined;
  if (decided === undefined) return "orphan";
  if (mirrored === undefined) return "missing";
  if (decided.version < mirrored.version) return "newer";
  if (decided.version > mirrored.version) return isThere ? "stale" : "missing";
  return isHere && isThere && Buffer.compare(decided.digest, mirrored.digest) === 0 ? undefined : "different";
}

/** The same of rows that were read with what is in them. */
export function compareItems({
  decided,
  mirrored,
}: {
  readonly decided: MirrorItem | undefined;
  readonly mirrored: MirrorItem | undefined;
}): FindingKind | undefined {
  return compareRows({ decided: toRow(decided), mirrored: toRow(mirrored) });
}

const toRow = (item: MirrorItem | undefined) =>
  item && { version: item.version, deleted: item.state === undefined, digest: Buffer.from(item.state ?? "") };
