import { expect, it } from "vitest";
import { FrameReader, type OnMessage } from "./frame-reader.ts";

const message = (type: string, content: string): Buffer => {
  const bytes = Buffer.from(`${type}....${content}`);
  bytes.writeInt32BE(bytes.length - 1, 1);
  return bytes;
};
const readerOf = (onMessage: OnMessage): FrameReader =>
  new FrameReader(10_000, { onMessage, onRefused: () => expect.unreachable() });
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
  const reader = readerOf((type, chunk, start, end) => {
    found.push([String.fromCharCode(type), chunk.toString("utf8", start, end)]);
  });
  for (let at = 0; at < bytes.length; at += size) reader.read(bytes.subarray(at, at + size));
  expect(found).toEqual(messages);
});

it("joins a message of many chunks once, not with each of them", () => {
  const lengths: number[] = [];
  const reader = readerOf((_, chunk) => lengths.push(chunk.length));
  const large = message("D", "x".repeat(10_000));
  for (let at = 0; at < large.length; at += 100) reader.read(large.subarray(at, at + 100));
  expect(lengths).toEqual([large.length]);
});

it.each([
  ["longer than any that is wanted", 105],
  ["a gigabyte", 2 ** 30],
  ["two gigabytes and more", 2 ** 32 - 1],
  ["shorter than its own length", 3],
  ["nothing", 0],
])("reads no further, and only what is before it, where a message says that it is %s", (_, length) => {
  const header = message("D", "");
  header.writeUInt32BE(length, 1);
  for (const size of [1, 3, 1_000]) {
    const found: number[] = [];
    let refused = 0;
    const reader = new FrameReader(100, {
      onMessage: (type) => found.push(type),
      onRefused: () => (refused += 1),
    });
    const all = Buffer.concat([message("D", "x".repeat(100)), header, message("Z", "I")]);
    for (let at = 0; at < all.length; at += size) reader.read(all.subarray(at, at + size));
    expect({ found, refused }).toEqual({ found: ["D".charCodeAt(0)], refused: 1 });
  }
});
