import { HandlerError } from "@tandem/rpc";
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Authority } from "./authority.ts";
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
  /** How long nobody's writes were taken. */
  readonly heldMs: number;
}

// What was written shortly before writes were stopped is compared as well.
const MARGIN_MS = 60_000;
const POLL_MS = 5;
const SETTLE_MS = 500;

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
  const { sides, to, expectedEpoch } = options;
  const into = sides.find(({ name }) => name === to);
  const from = sides.find(({ name }) => name !== to);
  if (into === undefined || from === undefined) throw new TypeError(`No side is called ${to}.`);
  const [old, next] = await Promise.all([from.authority(), into.authority()]);
  const { epoch } = old;
  if (next.authority === to && old.authority === to) {
    // It decides already: a move away from it that was not finished is called off.
    if (old.move !== null) await callOff({ from: into, into: from, epoch, move: old.move });
    else if (next.move !== null) await into.callOffMove(epoch, next.move);
    return { authority: to, epoch: next.epoch, heldMs: 0 };
  }
  if (epoch !== expectedEpoch) throw otherEpoch(old, expectedEpoch);
  if (next.epoch > epoch) return finish(from, old, to);
  // Of a move that the other side knows nothing of any more, nothing is left but this.
  if (old.move !== null && old.move !== next.move) await from.callOffMove(epoch, old.move);
  if (old.move === null) await assertAgreeing({ ...options, from, into });
  const move = next.move ?? randomUUID();
  const began = performance.now();
  try {
    await run({ ...options, from, into, epoch, move }, began + options.drainTimeoutMs);
  } catch (error) {
    const decided = await callOff({ from, into, epoch, move });
    if (decided !== to) throw error;
  }
  const heldMs = performance.now() - began;
  return { ...(await finish(from, { ...old, move }, to)), heldMs };
}

interface Move {
  readonly from: MirrorSide;
  readonly into: MirrorSide;
  readonly epoch: bigint;
  readonly move: string;
}

/** Up to the point where the new side decides. */
async function run(moving: MoveOptions & Move, until: number): Promise<void> {
  const { from, into, epoch, move, to } = moving;
  assertOurs(await begin(into, moving, until), moving);
  const old = assertOurs(await begin(from, moving, until), moving);
  await drained(from, until, moving.signal);
  await assertSameSince(moving, old.since);
  const next = await into.endMove(epoch, move, to);
  if (next.authority !== to) throw calledOffMeanwhile();
}

function assertOurs(authority: Authority, { move }: Move): Authority {
  if (authority.move === move) return authority;
  throw calledOffMeanwhile();
}

function calledOffMeanwhile(): HandlerError {
  const message = "Somebody else moves the authority at the same time: look who decides, and try again.";
  return new HandlerError({ reason: "NOT_READY", message });
}

/** The old side hears that it decides no more. */
async function finish(from: MirrorSide, { epoch, move }: Authority, to: string): Promise<Moved> {
  const moved = move === null ? await from.authority() : await from.endMove(epoch, move, to);
  if (moved.authority !== to) throw calledOffMeanwhile();
  return { authority: moved.authority, epoch: moved.epoch, heldMs: 0 };
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

/** Before anybody is held up: what differs for good is told at once. */
async function assertAgreeing({ from, into, aggregates, signal }: Between): Promise<void> {
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
}

/** Tried again while a writer takes long: others must not wait behind that one for more than a moment. */
async function begin(side: MirrorSide, { epoch, move }: Move, until: number): Promise<Authority> {
  for (;;) {
    try {
      return await side.beginMove(epoch, move);
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

/** Of all that was written since shortly before the writes were stopped: the rest has been compared. */
async function assertSameSince(
  { from, into, aggregates, drainTimeoutMs }: Between,
  stopped: string,
): Promise<void> {
  const since = new Date(new Date(stopped).getTime() - drainTimeoutMs - MARGIN_MS).toISOString();
  for (const aggregate of aggregates) {
    const selection = { buckets: 1, since, before: "infinity" };
    const suspects = await suspectsOf({ decides: from, mirror: into }, aggregate, selection);
    if (suspects.size > 0) throw differing([...suspects.keys()].map((id) => `${aggregate} ${id} differs`));
  }
}

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
