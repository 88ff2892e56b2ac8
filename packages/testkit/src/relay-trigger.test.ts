import { expect, test } from "vitest";
import { createTriggers, type RelayItem } from "./relay-trigger.ts";

function shown(items: readonly RelayItem[]): string {
  return items.map((item) => ("bytes" in item ? item.bytes.toString() : "!")).join(" ");
}

test("divides a chunk before a sequence, which is held back with all that follows", () => {
  const triggers = createTriggers();
  triggers.add({ direction: "toServer", contains: "COMMIT" }, () => undefined);
  const split = triggers.watch("toServer", {});
  expect(shown(split(Buffer.from("abc COMMIT def")))).toBe("abc  ! COMMIT def");
});

test("divides a chunk after a sequence that is to be passed on", () => {
  const triggers = createTriggers();
  triggers.add({ direction: "toServer", contains: "COMMIT", pass: true }, () => undefined);
  const split = triggers.watch("toServer", {});
  expect(shown(split(Buffer.from("abc COMMIT def")))).toBe("abc COMMIT !  def");
});

test("finds a sequence that comes in pieces", () => {
  const triggers = createTriggers();
  triggers.add({ direction: "toServer", contains: "COMMIT", pass: true }, () => undefined);
  const split = triggers.watch("toServer", {});
  expect(shown(split(Buffer.from("a CO")))).toBe("a CO");
  expect(shown(split(Buffer.from("M")))).toBe("M");
  expect(shown(split(Buffer.from("MIT b")))).toBe("MIT !  b");
});

test("counts the bytes of one connection in one direction, from the moment of the request", () => {
  const triggers = createTriggers();
  const split = triggers.watch("toServer", {});
  const other = triggers.watch("toServer", {});
  const back = triggers.watch("toClient", {});
  split(Buffer.from("before"));
  triggers.add({ direction: "toServer", bytes: 5 }, () => undefined);
  expect(shown(split(Buffer.from("abc")))).toBe("abc");
  expect(shown(other(Buffer.from("abc")))).toBe("abc");
  expect(shown(back(Buffer.from("abcdef")))).toBe("abcdef");
  expect(shown(split(Buffer.from("def")))).toBe("de ! f");
});

test("fires for one connection only, once, and not after it was cancelled", async () => {
  const triggers = createTriggers<{ name: string }>();
  const fired: string[] = [];
  const trigger = triggers.add({ direction: "toServer", contains: "x" }, ({ name }) => fired.push(name));
  triggers.add({ direction: "toServer", contains: "x" }, () => fired.push("cancelled")).cancel();
  for (const name of ["first", "second", "first"]) {
    for (const item of triggers.watch("toServer", { name })(Buffer.from("x"))) {
      if ("action" in item) item.action();
    }
  }
  await trigger.fired;
  expect(fired).toEqual(["first"]);
});

test("refuses to look for nothing", () => {
  expect(() => createTriggers().add({ direction: "toServer", contains: "" }, () => undefined)).toThrow(
    "empty",
  );
});
