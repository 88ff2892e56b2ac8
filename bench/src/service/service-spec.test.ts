import { expect, it } from "vitest";
import { nameOf } from "./service-spec.ts";

it("names a service by what it is started with", () => {
  expect(nameOf({})).toBe("service");
  expect(nameOf({ tls: true, flags: ["--single-threaded-gc"] })).toBe(
    "service with tls and --single-threaded-gc",
  );
  expect(nameOf({ twin: "policy/without" })).toBe("service (policy/without)");
  expect(nameOf({ decides: "gateway" })).toBe("pair: the gateway decides");
  expect(nameOf({ decides: "assistant", twin: "verify" })).toBe("pair: the assistant decides (verify)");
});
