import { HandlerError } from "@tandem/rpc";
import type { BucketDigest, MirrorSide, PartsWithin, Within } from "./mirror-side.ts";

interface Comparing {
  readonly decides: MirrorSide;
  readonly mirror: MirrorSide;
  readonly signal: AbortSignal;
}

/** Which of two sides' buckets differ, with how many rows each has; and how many rows the deciding side has. */
export interface ComparedBuckets {
  readonly held: number;
  readonly differing: ReadonlyMap<number, number>;
}

// Of a statement, which may take 5 s: what is behind it, and others who use the database, wait as well.
const MOST_MS = 1_000;
const LEAST_MS = 250;
const FIRST_STEP = 128;

/** By as many statements as it takes: one that looked at all of many rows would take longer than it may. */
export async function compareBuckets(
  { decides, mirror, signal }: Comparing,
  aggregate: string,
  within: Within,
): Promise<ComparedBuckets> {
  const differing = new Map<number, number>();
  let held = 0;
  let step = Math.min(FIRST_STEP, within.buckets);
  for (let from = 0; from < within.buckets;) {
    signal.throwIfAborted();
    const parts = Array.from({ length: Math.min(step, within.buckets - from) }, (_, at) => from + at);
    const began = performance.now();
    const [ours, theirs] = await Promise.all([
      digestsOf(decides, aggregate, { ...within, parts }),
      digestsOf(mirror, aggregate, { ...within, parts }),
    ]);
    const ms = performance.now() - began;
    const isTooMuch = ours === undefined || theirs === undefined;
    if (isTooMuch || ms > MOST_MS) step = Math.ceil(step / 2);
    else if (ms < LEAST_MS) step *= 2;
    if (isTooMuch) continue;
    for (const [bucket, rows] of differingOf(ours, theirs)) differing.set(bucket, rows);
    held += ours.reduce((sum, digest) => sum + digest.held, 0);
    from += parts.length;
  }
  return { held, differing };
}

/** Nothing where that takes too long for so many parts. */
async function digestsOf(
  side: MirrorSide,
  aggregate: string,
  within: PartsWithin & { readonly parts: readonly number[] },
): Promise<readonly BucketDigest[] | undefined> {
  try {
    return await side.digests(aggregate, within);
  } catch (error) {
    const isTooMuch = error instanceof HandlerError && error.reason === "STATEMENT_TIMEOUT";
    if (isTooMuch && within.parts.length > 1) return undefined;
    throw error;
  }
}

function differingOf(ours: readonly BucketDigest[], theirs: readonly BucketDigest[]): Map<number, number> {
  const differing = new Map(theirs.map(({ bucket, held }) => [bucket, held]));
  const known = new Map(theirs.map(({ bucket, digest }) => [bucket, digest]));
  for (const { bucket, held, digest } of ours) {
    const isSame = Buffer.compare(digest, known.get(bucket) ?? NOTHING) === 0;
    if (isSame) differing.delete(bucket);
    else differing.set(bucket, Math.max(held, differing.get(bucket) ?? 0));
  }
  return differing;
}

const NOTHING = new Uint8Array();
