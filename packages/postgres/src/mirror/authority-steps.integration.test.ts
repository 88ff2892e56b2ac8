import { afterAll, beforeAll, expect, it } from "vitest";
import { createModelRow, type ModelRow, type Step, takeStep } from "../testing/authority-model.ts";
import { createMirroredPair, type MirroredPair } from "../testing/mirrored-pair.ts";
import { createDatabaseSide, type MirrorSide } from "./mirror-side.ts";

let pair: MirroredPair;
beforeAll(async () => {
  pair = await createMirroredPair("steps_test");
});
afterAll(() => pair[Symbol.asyncDispose]());

const MOVES = ["a", "b", "c", "d", "e", "f"].map((digit) => `00000000-0000-4000-8000-00000000000${digit}`);

/** Every step, about the epoch that it is and the one before; half of the moves are never called off, so that some end. */
const stepsAt = ({ epoch }: ModelRow): Step[] =>
  [epoch, epoch - 1n].flatMap((about) =>
    MOVES.flatMap((move, at): Step[] => [
      { name: "beginMove", epoch: about, move },
      { name: "callOffMove", epoch: about, move: MOVES[at % 3] ?? move },
      { name: "endMove", epoch: about, move, to: at === 0 ? "west" : "east" },
    ]),
  );

async function take(side: MirrorSide, step: Step): Promise<void> {
  if (step.name === "beginMove") await side.beginMove(step.epoch, step.move);
  if (step.name === "callOffMove") await side.callOffMove(step.epoch, step.move);
  if (step.name === "endMove") await side.endMove(step.epoch, step.move, step.to);
}

it("each step does to the row what the model does by which all orders of steps are tried", async () => {
  const { sql } = pair.east.database;
  const side = createDatabaseSide("east", pair.east.database);
  const row = createModelRow("east", "east");
  // The same numbers in every run.
  let random = 1;
  const next = (below: number): number => (random = (random * 48_271) % 2_147_483_647) % below;
  for (let count = 0; count < 300; count += 1) {
    const steps = stepsAt(row);
    const step = steps[next(steps.length)];
    if (step === undefined) throw new Error("There is no step.");
    takeStep([row], row, step);
    await take(side, step);
    const [is] =
      await sql`SELECT authority, phase, epoch::text, move, called_off::text FROM tandem.read_authority()`;
    const { authority, phase, epoch, move } = row;
    const calledOff = `{${[...new Set(row.calledOff.toReversed())].join(",")}}`;
    expect(is).toEqual({ authority, phase, epoch: String(epoch), move, called_off: calledOff });
  }
  expect(row.epoch).toBeGreaterThan(3n);
});
