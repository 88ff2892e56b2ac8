import { setTimeout as delay } from "node:timers/promises";
import { compareBuckets } from "./compare-buckets.ts";
import { compareItems, compareRows, type FindingKind } from "./compare-rows.ts";
import type { MirrorSide, RowSelection, RowVersion } from "./mirror-side.ts";
import type { MirrorItem } from "./outbox.ts";
import { releaseParked } from "./release-parked.ts";
import { type RepairDirection, repairRow } from "./repair-row.ts";

export interface VerifyOptions {
  readonly decides: MirrorSide;
  readonly mirror: MirrorSide;
  /** In the order in which they refer to each other: what others refer to comes first. */
  readonly aggregates: readonly string[];
  readonly repair: RepairDirection;
  /** A difference counts where it is still there after so long: what was written a moment ago is on its way. */
  readonly settleMs: number;
  readonly signal: AbortSignal;
}

export interface Finding {
  readonly aggregate: string;
  readonly id: string;
  readonly kind: FindingKind;
  readonly repaired: boolean;
}

// Of 100,000 rows a hundred stand in each: so many are compared one by one where a single one differs.
const BUCKETS = 1_024;
// So many are looked at in one statement.
const MAX_IDS = 500;
// About so many are listed by one: each of those that list looks at every row.
const LISTED = 4_500;
// So many are remembered until they are looked at again, all of them together: each time takes a while.
const MAX_SUSPECTS = 20_000;
const MAX_SETTLES = 4;
const POLL_MS = 50;
const ALWAYS = "-infinity";

/**
 * Compares two sides, and gives each row that differs for good; at the end, how many rows the deciding side has. What
 * changes while it looks is no finding: the mirror only has to come as far as the other side was when it was first seen.
 */
export async function* verifyMirror(options: VerifyOptions): AsyncGenerator<Finding, number> {
  const { decides, signal } = options;
  const within = { buckets: BUCKETS, since: ALWAYS, before: await decides.now() };
  let compared = 0;
  for (const aggregate of options.aggregates) {
    const { held, differing } = await compareBuckets(options, aggregate, within);
    compared += held;
    const suspects = new Map<string, Seen>();
    for (const parts of inGroups(differing)) {
      signal.throwIfAborted();
      for (const [id, seen] of await suspectsOf(options, aggregate, { ...within, parts })) {
        suspects.set(id, seen);
      }
      if (suspects.size < MAX_SUSPECTS) continue;
      yield* confirmed(options, aggregate, suspects);
      suspects.clear();
    }
    yield* confirmed(options, aggregate, suspects);
    if (options.repair !== "none") await releaseParked(options, aggregate);
  }
  return compared;
}

type Sides = Pick<VerifyOptions, "decides" | "mirror">;

function* inGroups(buckets: ReadonlyMap<number, number>): Generator<readonly number[], void> {
  let group: number[] = [];
  let rows = 0;
  for (const [bucket, held] of buckets) {
    if (group.length > 0 && rows + held > LISTED) {
      yield group;
      [group, rows] = [[], 0];
    }
    group.push(bucket);
    rows += held;
  }
  if (group.length > 0) yield group;
}

/** What either side had of a row that differs at first sight; 0 where it had none. */
interface Seen {
  readonly decided: bigint;
  readonly mirrored: bigint;
}

type Suspects = ReadonlyMap<string, Seen>;

/** Compares the rows of a selection one by one. */
export async function suspectsOf(
  { decides, mirror }: Sides,
  aggregate: string,
  selection: RowSelection,
): Promise<Suspects> {
  const [ours, theirs] = await Promise.all([
    decides.list(aggregate, selection),
    mirror.list(aggregate, selection),
  ]);
  const mirrored = byId(theirs);
  const decided = byId(ours);
  const suspects = new Map<string, Seen>();
  for (const id of new Set([...decided.keys(), ...mirrored.keys()])) {
    const pair = { decided: decided.get(id), mirrored: mirrored.get(id) };
    if (compareRows(pair) === undefined) continue;
    suspects.set(id, { decided: pair.decided?.version ?? 0n, mirrored: pair.mirrored?.version ?? 0n });
  }
  return suspects;
}

const byId = (rows: readonly RowVersion[]): ReadonlyMap<string, RowVersion> =>
  new Map(rows.map((row) => [row.id, row]));

async function* confirmed(
  options: VerifyOptions,
  aggregate: string,
  suspects: Suspects,
): AsyncGenerator<Finding, void> {
  if (suspects.size === 0) return;
  await settle(options);
  const ids = [...suspects.keys()];
  for (let from = 0; from < ids.length; from += MAX_IDS) {
    const some = ids.slice(from, from + MAX_IDS);
    // In this order: what is brought in between makes the mirror seem newer, not behind; and what isn't on its way has come.
    const underWay = await options.decides.pending(aggregate, some);
    const ours = itemsById(await options.decides.read(aggregate, some));
    const theirs = itemsById(await options.mirror.read(aggregate, some));
    for (const id of some) {
      const [decided, mirrored] = [ours.get(id), theirs.get(id)];
      const kind = compareItems({ decided, mirrored });
      const first = suspects.get(id);
      if (kind === undefined || first === undefined) continue;
      if (isBehind(kind) && underWay.has(id)) continue;
      if (hasMovedOn(kind, first, { decided, mirrored })) continue;
      const repaired = await repairRow(options, aggregate, { id, kind, decided, mirrored });
      yield { aggregate, id, kind, repaired };
    }
  }
}

/** Gives what was on its way when it was first looked at the time to come, and more of it where there is much. */
async function settle({ decides, settleMs, signal }: VerifyOptions): Promise<void> {
  const began = performance.now();
  const until = began + settleMs * MAX_SETTLES;
  for (let restMs = settleMs; ; restMs = POLL_MS) {
    await delay(restMs, undefined, { signal });
    const { pending, oldestAgeMs } = await decides.backlog();
    const now = performance.now();
    if (pending === 0 || oldestAgeMs < now - began || now >= until) return;
  }
}

const itemsById = (items: readonly MirrorItem[]): ReadonlyMap<string, MirrorItem> =>
  new Map(items.map((item) => [item.id, item]));

const isBehind = (kind: FindingKind): boolean => kind === "missing" || kind === "stale";

/** Whether the one that was behind has come as far, by now, as the other one was when they were first compared. */
function hasMovedOn(
  kind: FindingKind,
  first: Seen,
  now: { readonly decided: MirrorItem | undefined; readonly mirrored: MirrorItem | undefined },
): boolean {
  if (kind === "different" || kind === "orphan") return false;
  // Of the one that is behind now; where it was not behind then, it has had no time to come.
  const [ahead, behind, current] =
    kind === "newer"
      ? [first.mirrored, first.decided, now.decided?.version]
      : [first.decided, first.mirrored, now.mirrored?.version];
  return ahead <= behind || (current ?? 0n) >= ahead;
}
