import { HandlerError, unlessAborted } from "@tandem/rpc";
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { afterWriters, type Waiting } from "./after-writers.ts";
import { agreeOnAuthority } from "./agree-on-authority.ts";
import type { Authority } from "./authority.ts";
import { compareBuckets } from "./compare-buckets.ts";
import type { MirrorSide } from "./mirror-side.ts";
import { suspectsOf, verifyMirror } from "./verify-mirror.ts";

export interface MoveOptions {
  readonly sides: readonly [MirrorSide, MirrorSide];
  /** The name of the side that is to decide. */
  readonly to: string;
  /** As the caller has seen it. */
  readonly expectedEpoch: bigint;
  /** How long writes may be held up. */
  readonly drainTimeoutMs: number;
  readonly aggregates: readonly string[];
  readonly signal: AbortSignal;
}

export interface Moved {
  readonly authority: string;
  readonly epoch: bigint;
  /** How long nobody's writes were taken, at most. */
  readonly heldMs: number;
}

// What was written shortly before the two were compared may not have been there to be compared.
const MARGIN_MS = 10_000;
const POLL_MS = 5;
// Nobody is held up meanwhile.
const SETTLE_MS = 2_000;

/**
 * Moves the authority: stops the writes of the side that decides, waits until its mirror has all of it, makes sure that it
 * has, and lets the mirror decide. Killed at any step it is finished by the same call. Fails with a HandlerError where
 * that can't be had in time, saying why, and all is as it was: NOT_READY while the mirror is behind or somebody else moves
 * it, GUARD_UNMET where the two differ, STALE_VERSION where the epoch is another one.
 *
 * What becomes of a move is decided on the side that it leads to, by one row: it ends there, or it is called off there
 * first. That side is told of the move before the old one is, so that nobody who calls it off can miss it; the old one
 * decides no more before the new one does. Only who began a move ends it there, and none is begun twice: what another one
 * left is called off, as is what another one is about, which then fails. So at no time do both decide, however many try
 * at once.
 */
export async function moveAuthority(options: MoveOptions): Promise<Moved> {
  const { sides, to, drainTimeoutMs, signal } = options;
  const [from, into] = between(sides, ({ name }) => name === to);
  const patience = (): Waiting => ({ until: performance.now() + drainTimeoutMs, signal });
  const { authority, epoch } = await comeToRest(options, patience());
  if (authority === to) return { authority: to, epoch, heldMs: 0 };
  const since = await assertAgreeing({ ...options, from, into });
  const moving = { ...options, from, into, epoch, move: randomUUID() };
  let began = performance.now();
  try {
    began = await stopWrites(moving, patience());
    await handOver(moving, { since, until: began + drainTimeoutMs });
  } catch (error) {
    const decided = await callOff(moving).catch(() => undefined);
    if (decided !== to) throw error;
  }
  const [moved] = await agreeOnAuthority(sides, patience());
  if (moved.authority !== to) throw movedByOthers();
  const heldMs = performance.now() - began;
  await assertNothingLeft(from, moved);
  return { authority: to, epoch: moved.epoch, heldMs };
}

/** The side that a move comes from, and the one that it leads to. */
function between(
  sides: MoveOptions["sides"],
  isInto: (side: MirrorSide) => boolean,
): readonly [from: MirrorSide, into: MirrorSide] {
  const [one, other] = sides;
  if (isInto(one) === isInto(other))
    throw new TypeError("Of the two sides, one must be the one that is named.");
  return isInto(other) ? [one, other] : [other, one];
}

/** Both agree, and nothing moves: what somebody left half-way has come to its end, or is called off. */
async function comeToRest({ sides, to, expectedEpoch }: MoveOptions, waiting: Waiting): Promise<Authority> {
  for (;;) {
    const [one, other] = await agreeOnAuthority(sides, waiting);
    const { authority, epoch } = one;
    if (authority !== to && epoch !== expectedEpoch) throw otherEpoch(one, expectedEpoch);
    const move = one.move ?? other.move;
    if (move === null) return one;
    if (performance.now() >= waiting.until) throw movedByOthers();
    const [from, into] = between(sides, ({ name }) => name !== authority);
    await callOff({ from, into, epoch, move });
  }
}

interface Move {
  readonly from: MirrorSide;
  readonly into: MirrorSide;
  readonly epoch: bigint;
  readonly move: string;
}

/** Both know of the move, and nobody's writes are taken; gives since when. */
async function stopWrites({ from, into, epoch, move }: Move, waiting: Waiting): Promise<number> {
  const assertOurs = (authority: Authority): void => {
    if (authority.move !== move) throw movedByOthers();
  };
  assertOurs(await afterWriters(() => into.beginMove(epoch, move), waiting));
  let began = performance.now();
  const begin = (): Promise<Authority> => {
    began = performance.now();
    return from.beginMove(epoch, move);
  };
  assertOurs(await afterWriters(begin, waiting));
  return began;
}

/** Up to the point where the new side decides. */
async function handOver(
  moving: MoveOptions & Move,
  { since, until }: { readonly since: string; readonly until: number },
): Promise<void> {
  const { from, into, epoch, move, to, signal } = moving;
  await drained(from, { until, signal });
  await inTime((ending) => assertSameSince({ ...moving, signal: ending }, since), { until, signal });
  const next = await afterWriters(() => into.endMove(epoch, move, to), { until, signal });
  if (next.authority !== to) throw movedByOthers();
}

function movedByOthers(): HandlerError {
  const message = "Somebody else moves the authority at the same time: look who decides, and try again.";
  return new HandlerError({ reason: "NOT_READY", message });
}

/**
 * Both sides let their writers go on as before, unless the move has come to its end already; gives who decides. Where one
 * of them can't be reached, the next call sets it right.
 */
async function callOff({ from, into, epoch, move }: Move): Promise<string> {
  const next = await into.callOffMove(epoch, move);
  if (next.epoch > epoch) return next.authority;
  return (await from.callOffMove(epoch, move)).authority;
}

/** What it promises to leave: rows that are there in spite of it would be lost in silence. */
async function assertNothingLeft(from: MirrorSide, { authority, epoch }: Authority): Promise<void> {
  const { pending, parked } = await from.backlog();
  if (pending + parked === 0) return;
  const message = `The ${authority} decides now (epoch ${epoch}), and the ${from.name} has ${pending + parked} rows that were never brought: VerifyMirror says which.`;
  throw new HandlerError({ reason: "GUARD_UNMET", message });
}

type Between = Pick<MoveOptions, "aggregates" | "signal"> & Pick<Move, "from" | "into">;

/** Before anybody is held up: what differs for good is told at once. Gives since when it has to be compared again. */
async function assertAgreeing({ from, into, aggregates, signal }: Between): Promise<string> {
  const began = new Date(await from.now()).getTime();
  // What is on its way is compared when it has come: it was written no longer ago than the oldest of it.
  const { oldestAgeMs } = await from.backlog();
  const verifying = verifyMirror({
    decides: from,
    mirror: into,
    aggregates,
    repair: "none",
    settleMs: SETTLE_MS,
    signal,
  });
  const found: string[] = [];
  for await (const { aggregate, id, kind } of verifying) found.push(`${aggregate} ${id} is ${kind}`);
  if (found.length > 0) throw differing(found);
  return new Date(began - oldestAgeMs - MARGIN_MS).toISOString();
}

async function drained(from: MirrorSide, { until, signal }: Waiting): Promise<void> {
  for (;;) {
    const { pending, parked } = await from.backlog();
    if (pending === 0 && parked === 0) return;
    if (performance.now() >= until) {
      const message = `The mirror lacks ${pending + parked} rows, of which ${parked} are parked: all goes on as before.`;
      throw new HandlerError({ reason: "NOT_READY", message });
    }
    await delay(POLL_MS, undefined, { signal });
  }
}

/** Ends what keeps the writers waiting when it has taken too long. */
async function inTime(
  work: (ending: AbortSignal) => Promise<void>,
  { until, signal }: Waiting,
): Promise<void> {
  const late = new AbortController();
  const message =
    "To compare what changed lately takes longer than writes may be held up: all goes on as before.";
  const end = (): void => late.abort(new HandlerError({ reason: "NOT_READY", message }));
  const timer = setTimeout(end, Math.max(0, until - performance.now()));
  const ending = AbortSignal.any([signal, late.signal]);
  try {
    await unlessAborted(work(ending), ending);
  } finally {
    clearTimeout(timer);
  }
}

/** Of what changed while the rest was compared: nothing changes any more. */
async function assertSameSince({ from, into, aggregates, signal }: Between, since: string): Promise<void> {
  const sides = { decides: from, mirror: into, signal };
  const within = { buckets: LATE_BUCKETS, since, before: "infinity" };
  for (const aggregate of aggregates) {
    const { differing: parts } = await compareBuckets(sides, aggregate, within);
    if (parts.size === 0) continue;
    const suspects = await suspectsOf(sides, aggregate, { ...within, parts: [...parts.keys()] });
    throw differing([...suspects.keys()].map((id) => `${aggregate} ${id} differs`));
  }
}

// They serve to name what differs without listing all of it.
const LATE_BUCKETS = 64;
const SHOWN = 3;

function differing(found: readonly string[]): HandlerError {
  const rest = found.length > SHOWN ? `, and ${found.length - SHOWN} more` : "";
  const message = `The two databases differ: ${found.slice(0, SHOWN).join(", ")}${rest}. Repair the mirror first (VerifyMirror).`;
  return new HandlerError({ reason: "GUARD_UNMET", message });
}

function otherEpoch({ epoch }: Authority, expected: bigint): HandlerError {
  const message = `The epoch is ${epoch}, not ${expected}: look again who decides (GetAuthority).`;
  return new HandlerError({ reason: "STALE_VERSION", message });
}
