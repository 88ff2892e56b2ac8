import { expect, it } from "vitest";
import { Echo } from "../testing/echo-service.ts";
import { allow, authorise } from "./rules.ts";

const ECHO = Echo.typeName;
const rules = allow(Echo, { one: ["gateway"], down: "anyone", up: [] });

it("names methods in full, and leaves out what is left out", () => {
  expect(rules).toEqual({ [`${ECHO}/One`]: ["gateway"], [`${ECHO}/Down`]: "anyone", [`${ECHO}/Up`]: [] });
});

it.each([
  ["One", "gateway", undefined],
  ["One", "cli", "METHOD_NOT_ALLOWED"],
  ["One", undefined, "UNAUTHENTICATED"],
  ["Down", "cli", undefined],
  ["Down", undefined, undefined],
  ["Up", "gateway", "METHOD_NOT_ALLOWED"],
  ["Both", "gateway", "METHOD_NOT_ALLOWED"],
  ["Both", undefined, "UNAUTHENTICATED"],
])("answers %s by %s with %s", (method, caller, reason) => {
  expect(authorise(rules)(`${ECHO}/${method}`, caller)?.reason).toBe(reason);
});

it.each(["constructor", "__proto__", "toString", ""])("has no rule for %s", (method) => {
  expect(authorise({})(method, "gateway")?.reason).toBe("METHOD_NOT_ALLOWED");
});
