import { expect, it } from "vitest";
import { renewalTime } from "./lifetimes.ts";

it("renews 30 days before the end, or for the last third of a life that is shorter", () => {
  const from = new Date("2026-01-01T00:00:00Z");
  const renewed = (until: string): string =>
    new Date(renewalTime({ from, until: new Date(until) })).toISOString();
  expect(renewed("2027-01-01T00:00:00Z")).toBe("2026-12-02T00:00:00.000Z");
  expect(renewed("2026-01-31T00:00:00Z")).toBe("2026-01-21T00:00:00.000Z");
});
