import { expect, it } from "vitest";
import { findRows } from "./find-rows.ts";

it("finds every row, each of which says what it measures and is held against a row that is there", async () => {
  const rows = await findRows(undefined);
  const names = new Set(rows.map(({ name }) => name));
  expect(names).toContain("pair/tandem");
  for (const { name, row } of rows) {
    expect(row.measures, name).not.toBe("");
    if (row.comparedWith !== undefined) expect(names, name).toContain(row.comparedWith);
  }
});

it("selects rows by their names and by their sets'", async () => {
  const rows = await findRows(["policy", "pair/pg"]);
  expect(rows.map(({ name }) => name)).toEqual([
    "pair/pg",
    "policy/without",
    "policy/with",
    "policy/without-again",
  ]);
});
