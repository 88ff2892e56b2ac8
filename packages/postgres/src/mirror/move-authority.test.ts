import { expect, it } from "vitest";
import { takesWrites } from "../testing/authority-model.ts";
import { exploreMoves, moveAlone, type Mover, type Standing } from "../testing/explore-moves.ts";
import { moveAuthority } from "./move-authority.ts";

const moverTo =
  (to: string, expectedEpoch = 1n): Mover =>
  (sides) =>
    moveAuthority({
      sides,
      to,
      expectedEpoch,
      drainTimeoutMs: 60_000,
      aggregates: [],
      signal: new AbortController().signal,
    });

/** At no time both take writes, nor one while the other one has some that were never brought. */
function isSound({ rows: [east, west] }: Pick<Standing, "rows">): boolean {
  return [[east, west] as const, [west, east] as const].every(
    ([one, other]) => !takesWrites(one) || !(takesWrites(other) || other.dirty),
  );
}

/** Writers are kept waiting only by who was killed, or could not call its move off. */
function isOpen({ rows, faults, late }: Standing): boolean {
  const isExcused = faults.some(({ kind, step }) => kind === "killed" || step === "callOffMove");
  return isExcused || late > 0 || rows.some(takesWrites);
}

/** The same call finishes what was left, and the call for the other side takes it back. */
async function isFinishedBy(to: string, { rows }: Standing): Promise<boolean> {
  const epoch = rows.reduce((highest, row) => (row.epoch > highest ? row.epoch : highest), 0n);
  const after = await moveAlone(rows, moverTo(to, epoch));
  const isSettled = after.every(
    ({ authority, phase, move }) => authority === to && phase === "settled" && move === null,
  );
  return isSettled && isSound({ rows: after }) && after[0].epoch === after[1].epoch;
}

async function flawOf(standing: Standing): Promise<string | undefined> {
  if (!isSound(standing)) return "Both decide, or rows were left behind";
  if (standing.ends.includes(undefined)) return undefined;
  if (!isOpen(standing)) return "Writers are kept waiting";
  for (const to of ["west", "east"]) {
    if (!(await isFinishedBy(to, standing))) return `A move to the ${to} doesn't finish it`;
  }
  const hasMoved = standing.ends.some((end) => end !== "killed" && end !== undefined && "moved" in end);
  return standing.faults.length === 0 && !hasMoved ? "Each calls the other one's off" : undefined;
}

it.each([
  { what: "the same way", movers: [moverTo("west"), moverTo("west")], faultyMovers: 1 },
  { what: "one each way", movers: [moverTo("west"), moverTo("east")], faultyMovers: 2 },
  { what: "there, and back again", movers: [moverTo("west"), moverTo("east", 2n)], faultyMovers: 2 },
])(
  "two at once, $what, one of them failing anywhere: never do both sides decide, and nothing is left behind",
  { timeout: 120_000 },
  async ({ movers, faultyMovers }) => {
    const points = await exploreMoves({ movers, faultyMovers, maxFaults: 1 }, async (standing, way) => {
      const flaw = await flawOf(standing);
      if (flaw !== undefined) throw new Error(`${flaw}, after\n${way.join("\n")}`);
    });
    expect(points).toBeGreaterThan(1_000);
  },
);
