import { describe, expect, it } from "vitest";
import { createParsingTurns, type ParsingTurns, type WaitingText } from "./parsing-turns.ts";

function turnsOf(...texts: readonly (readonly [caller: string, sql: string])[]): ParsingTurns<WaitingText> {
  const turns = createParsingTurns();
  for (const [caller, sql] of texts) turns.add({ caller, sql });
  return turns;
}

/** The texts in the order in which they are taken, where each takes so long. */
function taken(turns: ParsingTurns<WaitingText>, msOf: (text: WaitingText) => number): string[] {
  const found: string[] = [];
  for (let text = turns.next(); text !== undefined; text = turns.next()) {
    found.push(text.sql);
    turns.took(text, msOf(text));
  }
  return found;
}

describe("texts that wait for the parser", () => {
  it("are taken from one caller after the other, where each takes long", () => {
    const turns = turnsOf(
      ["one", "1"],
      ["one", "2"],
      ["one", "3"],
      ["two", "4"],
      ["two", "5"],
      ["three", "6"],
    );
    expect(taken(turns, () => 200)).toEqual(["1", "4", "6", "2", "5", "3"]);
  });

  it("are taken of who sends short ones, until these have taken as long as one that takes long", () => {
    const turns = turnsOf(
      ["slow", "1"],
      ["slow", "2"],
      ["slow", "3"],
      ["fast", "4"],
      ["fast", "5"],
      ["fast", "6"],
    );
    const order = taken(turns, ({ caller }) => (caller === "slow" ? 200 : 100));
    expect(order).toEqual(["1", "4", "5", "2", "6", "3"]);
  });

  it("are taken by their length where they are the same caller's", () => {
    expect(taken(turnsOf(["one", "333"], ["one", "1"], ["one", "22"]), () => 200)).toEqual([
      "1",
      "22",
      "333",
    ]);
  });

  it("don't come earlier because their caller sends one after the other", () => {
    const turns = turnsOf(["slow", "1"], ["fast", "2"], ["fast", "3"]);
    const first = turns.next();
    if (first !== undefined) turns.took(first, 200);
    turns.add({ caller: "slow", sql: "4" });
    expect(taken(turns, () => 10)).toEqual(["2", "3", "4"]);
  });

  it("don't come earlier because their caller has sent nothing for long", () => {
    const turns = turnsOf(["old", "1"], ["old", "2"], ["old", "3"], ["old", "4"]);
    for (const ms of [1_000, 1_000]) {
      const text = turns.next();
      if (text !== undefined) turns.took(text, ms);
    }
    for (const sql of ["5", "6", "7"]) turns.add({ caller: "new", sql });
    expect(taken(turns, () => 200)).toEqual(["3", "5", "4", "6", "7"]);
  });
});
