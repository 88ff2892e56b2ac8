import { expect, it } from "vitest";
import { FrameReader } from "./frame-reader.ts";

const message = (type: string, content: string): Buffer => {
  const bytes = Buffer.from(`${type}....${content}`);
  bytes.writeInt32BE(bytes.length - 1, 1);
  return bytes;
};
const messages = [
  ["C", "UPDATE 1\0"],
  ["2", ""],
  ["D", "x".repeat(1_000)],
  ["1", ""],
  ["Z", "I"],
] as const;
const bytes = Buffer.concat(messages.map(([type, content]) => message(type, content)));

it.each([1, 2, 3, 4, 5, 6, 7, 11, 100, 999, 1_000_000])("finds messages in chunks of %i bytes", (size) => {
  const found: (readonly [string, string])[] = [];
  const reader = new FrameReader((type, chunk, start, end) => {
    found.push([String.fromCharCode(type), chunk.toString("utf8", start, end)]);
  });
  for (let at = 0; at < bytes.length; at += size) reader.read(bytes.subarray(at, at + size));
  expect(found).toEqual(messages);
});

it("joins a message of many chunks once, not with each of them", () => {
  const lengths: number[] = [];
  const reader = new FrameReader((_, chunk) => lengths.push(chunk.length));
  const large = message("D", "x".repeat(10_000));
  for (let at = 0; at < large.length; at += 100) reader.read(large.subarray(at, at + 100));
  expect(lengths).toEqual([large.length]);
});
