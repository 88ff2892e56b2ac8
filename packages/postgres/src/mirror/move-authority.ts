import { HandlerError } from "@tandem/rpc";
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
 * The old side is stopped before the new one decides, and decides no more before it is told so: at no time do both.
 */
export async function moveAuthority(options: MoveOptions): Promise<Moved> {
  const { sides, to, expectedEpoch } = options;
  const into = sides.find(({ name }) => name === to);
  const from = sides.find(({ name }) => name !== to);
  if (into === undefined || from === undefined) throw new TypeError(`No side is called ${to}.`);
  const [old, next] = await Promise.all([from.authority(), into.authority()]);
  if (next.authority === to && old.authority === to) {
    // It decides already; what was to move from it, and was not finished, stays.
    await callOff([from, into], old.epoch);
    return { authority: to, epoch: next.epoch, heldMs: 0 };
  }
  if (old.epoch !== expectedEpoch) throw otherEpoch(old, expectedEpoch);
  if (next.epoch === old.epoch + 1n) return finish({ from, to, epoch: old.epoch, since: Date.now() });
  if (old.phase === "settled") await assertAgreeing({ ...options, from, into });
  const began = performance.now();
  const until = began + options.drainTimeoutMs;
  try {
    const { since } = await stop(from, old, until);
    await into.beginMove(old.epoch);
    await drained(from, until, options.signal);
    await assertSameSince({ ...options, from, into }, since);
  } catch (error) {
    await callOff([from, into], old.epoch);
    throw error;
  }
  // From here on it is only finished: the new side decides, whatever becomes of this process.
  await into.endMove(old.epoch, to);
  const heldMs = performance.now() - began;
  return { ...(await finish({ from, to, epoch: old.epoch, since: 0 })), heldMs };
}

async function finish({
  from,
  to,
  epoch,
}: {
  readonly from: MirrorSide;
  readonly to: string;
  readonly epoch: bigint;
  readonly since: number;
}): Promise<Moved> {
  const moved = await from.endMove(epoch, to);
  return { authority: moved.authority, epoch: moved.epoch, heldMs: 0 };
}

/** Both let their writers go on; what can't be reached is set right by the next call. */
async function callOff(sides: readonly MirrorSide[], epoch: bigint): Promise<void> {
  await Promise.allSettled(sides.map((side) => side.callOffMove(epoch)));
}

interface Between extends MoveOptions {
  readonly from: MirrorSide;
  readonly into: MirrorSide;
}

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

/** Once for all writers that take long: others must not wait behind them for more than a moment. */
async function stop(from: MirrorSide, { epoch }: Authority, until: number): Promise<Authority> {
  for (;;) {
    try {
      return await from.beginMove(epoch);
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
