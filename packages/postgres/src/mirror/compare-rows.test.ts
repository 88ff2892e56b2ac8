import { expect, it } from "vitest";
import { compareRows } from "./compare-rows.ts";

const row = (version: bigint, text = "") => ({ version, deleted: false, digest: Buffer.from(text) });
const gone = (version: bigint) => ({ version, deleted: true, digest: Buffer.from(`gone ${version}`) });

it.each([
  ["nothing", undefined, undefined, undefined],
  ["the same", row(2n), row(2n), undefined],
  ["a deletion that one side has forgotten", gone(3n), undefined, undefined],
  ["a deletion that the mirror alone remembers", undefined, gone(3n), undefined],
  ["deletions of other versions", gone(4n), gone(3n), undefined],
  ["a row that the mirror lacks", row(1n), undefined, "missing"],
  ["a row that the mirror believes deleted, earlier", row(4n), gone(3n), "missing"],
  ["a row that the mirror has older", row(2n), row(1n), "stale"],
  ["a deletion that the mirror doesn't have", gone(2n), row(1n), "stale"],
  ["another content of the same version", row(2n, "a"), row(2n, "b"), "different"],
  ["a row and its deletion under one version", row(2n), gone(2n), "different"],
  ["a row that nobody else has", undefined, row(1n), "orphan"],
  ["a row that is newer", row(1n), row(2n), "newer"],
  ["a later deletion", row(1n), gone(2n), "newer"],
  ["a row that came after the deletion", gone(1n), row(2n), "newer"],
] as const)("%s", (_what, decided, mirrored, finding) => {
  expect(compareRows({ decided, mirrored })).toBe(finding);
});
