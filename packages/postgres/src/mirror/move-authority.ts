import { HandlerError } from "@tandem/rpc";
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
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
const EVER = "-infinity";

/**
 * Moves the authority: stops the writes of the side that decides, waits until its mirror has all of it, makes sure that it
 * has, and lets the mirror decide. Killed at any step it is finished by the same call. Fails with a HandlerError where
 * that can't be had in time, saying why, and all is as it was: NOT_READY while the mirror is behind, GUARD_UNMET where
 * the two differ, STALE_VERSION where the epoch is another one.
 *
 * What becomes of a move is decided on the side that it leads to, by one row: it ends there, or it is called off there
 * first. That side is told of the move before the old one is, so that nobody who calls it off can miss it; the old one
 * decides no more before the new one does. So at no time do both decide, however many try at once.
 */
export async function moveAuthority(options: MoveOptions): Promise<Moved> {
  const { sides, to, expectedEpoch, drainTimeoutMs } = options;
  const into = sides.find(({ name }) => name === to);
  const from = sides.find(({ name }) => name !== to);
  if (into === undefined || from === undefined) throw new TypeError(`No side is called ${to}.`);
  await catchUp(from, into, drainTimeoutMs);
  await catchUp(into, from, drainTimeoutMs);
  const [old, next] = await Promise.all([from.authority(), into.authority()]);
  const { epoch } = old;
  if (next.authority === to && old.authority === to) {
    // It decides already: a move away from it that was not finished is called off.
    const unfinished = old.move ?? next.move;
    if (unfinished !== null) await callOff({ from: into, into: from, epoch, move: unfinished });
    return { authority: to, epoch: next.epoch, heldMs: 0 };
  }
  if (epoch !== expectedEpoch) throw otherEpoch(old, expectedEpoch);
  // Of a move that the other side knows nothing of any more, nothing is left but this.
  if (old.move !== null && old.move !== next.move) await callOff({ from, into, epoch, move: old.move });
  // Where somebody died, writers wait already, and what that one has compared is not known.
  const since = old.move === null ? await assertAgreeing({ ...options, from, into }) : EVER;
  const move = next.move ?? randomUUID();
  const began = performance.now();
  try {
    await run({ ...options, from, into, epoch, move }, { since, until: began + drainTimeoutMs });
  } catch (error) {
    const decided = await callOff({ from, into, epoch, move });
    if (decided !== to) throw error;
  }
  await catchUp(from, into, drainTimeoutMs);
  const moved = await from.authority();
  if (moved.authority !== to) throw calledOffMeanwhile();
  return { authority: to, epoch: moved.epoch, heldMs: performance.now() - began };
}

/**
 * Tells a side what became of moves of which it knows less than the other one, if it does: whoever moved it died before,
 * or its database was restored as it was before.
 */
async function catchUp(side: MirrorSide, other: MirrorSide, patienceMs: number): Promise<void> {
  const until = performance.now() + patienceMs;
  for (;;) {
    const { epoch, move } = await side.authority();
    const known = await other.authority();
    if (epoch >= known.epoch) return;
    const ended = move ?? (await patiently(() => side.beginMove(epoch, randomUUID()), until)).move;
    if (ended !== null) await patiently(() => side.endMove(epoch, ended, known.authority), until);
  }
}

interface Move {
  readonly from: MirrorSide;
  readonly into: MirrorSide;
  readonly epoch: bigint;
  readonly move: string;
}

/** Up to the point where the new side decides. */
async function run(
  moving: MoveOptions & Move,
  { since, until }: { readonly since: string; readonly until: number },
): Promise<void> {
  const { from, into, epoch, move, to } = moving;
  assertOurs(await patiently(() => into.beginMove(epoch, move), until), moving);
  assertOurs(await patiently(() => from.beginMove(epoch, move), until), moving);
  await drained(from, until, moving.signal);
  await assertSameSince(moving, since);
  const next = await patiently(() => into.endMove(epoch, move, to), until);
  if (next.authority !== to) throw calledOffMeanwhile();
}

function assertOurs(authority: Authority, { move }: Move): void {
  if (authority.move !== move) throw calledOffMeanwhile();
}

function calledOffMeanwhile(): HandlerError {
  const message = "Somebody else moves the authority at the same time: look who decides, and try again.";
  return new HandlerError({ reason: "NOT_READY", message });
}

/**
 * Both sides let their writers go on as before, unless the move has come to its end already; gives who decides. Where one
 * of them can't be reached, the next call sets it right.
 */
async function callOff({ from, into, epoch, move }: Move): Promise<string | undefined> {
  try {
    const next = await into.callOffMove(epoch, move);
    if (next.epoch > epoch) return next.authority;
    return (await from.callOffMove(epoch, move)).authority;
  } catch {
    return undefined;
  }
}

type Between = MoveOptions & Pick<Move, "from" | "into">;

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

/** Tried again while a writer takes long: others must not wait behind that one for more than a moment. */
async function patiently(change: () => Promise<Authority>, until: number): Promise<Authority> {
  for (;;) {
    try {
      return await change();
    } catch (error) {
      const mayPass =
        error instanceof HandlerError && (error.reason === "LOCK_TIMEOUT" || error.reason === "DEADLOCK");
      if (!mayPass || performance.now() >= until) throw error;
      await delay(POLL_MS);
    }
  }
}

async function drained(from: MirrorSide, until: number, signal: AbortSignal): Promise<void> {
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
