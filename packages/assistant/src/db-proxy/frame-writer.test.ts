import * as fc from "fast-check";
import { serialize } from "pg-protocol";
import { expect, it } from "vitest";
import { FrameWriter } from "./frame-writer.ts";
import type { Bound } from "./values/encode-param.ts";

const ofPg = (statement: string, values: readonly Bound[], maxRows?: number): Buffer =>
  Buffer.concat([
    serialize.bind({ statement, values: [...values] }),
    serialize.execute(maxRows === undefined ? {} : { rows: maxRows }),
  ]);

const anyValue = fc.oneof(
  fc.constant(null),
  fc.string({ unit: "grapheme", size: "max", maxLength: 5_000 }),
  fc.uint8Array({ size: "max", maxLength: 5_000 }).map((bytes) => Buffer.from(bytes)),
);
const anyRun = fc.record({
  statement: fc.string(),
  values: fc.array(anyValue, { maxLength: 12 }),
  maxRows: fc.option(fc.nat(), { nil: undefined }),
});

it("writes what pg would, flush after flush, of any size", () => {
  const writer = new FrameWriter();
  const property = fc.property(fc.array(anyRun, { maxLength: 6 }), (runs) => {
    for (const { statement, values, maxRows } of runs) {
      writer.add(serialize.sync());
      writer.run(statement, values, maxRows);
    }
    const expected = runs.flatMap((run) => [serialize.sync(), ofPg(run.statement, run.values, run.maxRows)]);
    expect(writer.take().equals(Buffer.concat(expected))).toBe(true);
  });
  fc.assert(property, { numRuns: 100 });
});

it("has room for all that stands between a statement's name and its values, however long the name is", () => {
  const values = Array<null>(200).fill(null);
  for (let before = 3_000; before < 4_096; before += 1) {
    const writer = new FrameWriter();
    writer.add(Buffer.alloc(before));
    writer.run("x".repeat(63), values);
    expect(
      writer
        .take()
        .subarray(before)
        .equals(ofPg("x".repeat(63), values)),
    ).toBe(true);
  }
});

it("gives bytes that the next flush doesn't touch", () => {
  const writer = new FrameWriter();
  for (const size of [10, 5_000, 100_000, 10]) {
    writer.run("first", ["x".repeat(size)]);
    const first = writer.take();
    writer.run("next", ["y".repeat(size)]);
    writer.take();
    expect(first.equals(ofPg("first", ["x".repeat(size)]))).toBe(true);
  }
});
