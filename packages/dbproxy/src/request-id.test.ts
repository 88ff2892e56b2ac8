import { expect, it } from "vitest";
import { newRequestId, parseRequestId, requestIdOf, requestIdTime, withRequestId } from "./request-id.ts";

it("makes ids that it takes itself, each another, with the time in them", () => {
  const before = Date.now();
  const ids = Array.from({ length: 1_000 }, newRequestId);
  expect(new Set(ids).size).toBe(1_000);
  for (const id of ids) {
    expect(parseRequestId(id)).toBe(id);
    expect(requestIdTime(id)).toBeGreaterThanOrEqual(before);
    expect(requestIdTime(id)).toBeLessThanOrEqual(Date.now());
  }
});

it("knows the time in the example of RFC 9562", () => {
  expect(requestIdTime("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")).toBe(Date.UTC(2022, 1, 22, 19, 22, 22));
});

it("takes one id in either case of letters as the same", () => {
  expect(parseRequestId("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")).toBe("017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
});

it.each([
  ["a UUID of another version", "017f22e2-79b0-4cc3-98c4-dc0c0c07398f"],
  ["a UUID of another variant", "017f22e2-79b0-7cc3-c8c4-dc0c0c07398f"],
  ["something around it", " 017f22e2-79b0-7cc3-98c4-dc0c0c07398f"],
  ["an empty text", ""],
  ["null", null],
])("refuses %s", (_, given) => {
  expect(() => parseRequestId(given)).toThrow(TypeError);
});

it("names the id on an error, and none where there is none", () => {
  expect(requestIdOf(withRequestId(new Error("lost"), "017f"))).toBe("017f");
  expect(requestIdOf(new Error("lost"))).toBeUndefined();
  expect(requestIdOf(Object.assign(new Error("foreign"), { requestId: 7 }))).toBeUndefined();
  expect(requestIdOf("lost")).toBeUndefined();
});
