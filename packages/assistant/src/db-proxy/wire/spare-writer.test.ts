import { describe, expect, it } from "vitest";
import { finish } from "../../testing/interruptible.ts";
import { SpareWriter } from "./spare-writer.ts";

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

describe("a writer's memory", () => {
  it("is what messages are written into one after the other, and each keeps its own bytes", () => {
    const writer = new SpareWriter();
    const first = writer.write((into) => void into.raw(Buffer.from("first")));
    const second = writer.write((into) => void into.raw(Buffer.from("2nd")));
    expect([first, second].map(textOf)).toEqual(["first", "2nd"]);
  });

  it("is not shared by those that are worked on in slices", () => {
    const writer = new SpareWriter();
    const slow = writer.writing(function* (into) {
      into.raw(Buffer.from("slow "));
      yield;
      into.raw(Buffer.from("but sure"));
    });
    slow.next();
    expect(textOf(writer.write((into) => void into.raw(Buffer.from("quick"))))).toBe("quick");
    expect(textOf(finish(slow))).toBe("slow but sure");
    expect(textOf(writer.write((into) => void into.raw(Buffer.from("next"))))).toBe("next");
  });

  it("holds nothing of a message that failed when the next one is written", () => {
    const writer = new SpareWriter();
    const failing = (): Uint8Array =>
      writer.write((into) => {
        into.raw(Buffer.from("half")).fork();
        throw new RangeError("no more");
      });
    expect(failing).toThrow("no more");
    expect(textOf(writer.write((into) => void into.raw(Buffer.from("whole"))))).toBe("whole");
  });
});
