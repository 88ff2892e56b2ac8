import {
  HandlerError,
  type OutcomeName,
  type Reason,
  type Sent,
  StatusCode,
  TransportError,
} from "@tandem/rpc";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultDbProxyLimits as limits } from "./limits.ts";
import { canGetBetter, nextAttempt, retryDelayMs } from "./retry.ts";

function decided(reason: Reason, more: { outcome?: OutcomeName; retryAfterMs?: number } = {}): HandlerError {
  return new HandlerError({ reason, message: "no", ...more });
}

function lost(code: StatusCode, sent: Sent = "maybe"): TransportError {
  return new TransportError({ code, sent, method: "m", address: "a", details: "d" });
}

describe("a failure can get better", () => {
  it.each([
    [decided("OVERLOADED"), true],
    [decided("DRAINING"), true],
    [decided("COMMIT_OUTCOME_UNKNOWN"), true],
    [decided("REQUEST_REFUSED"), false],
    [decided("GUARD_UNMET"), false],
    [decided("HANDLER_FAILED"), false],
  ])("of a handler where it says so: %s", (error, better) => expect(canGetBetter(error)).toBe(better));

  it.each([
    ["UNAVAILABLE", true],
    ["DEADLINE_EXCEEDED", true],
    ["INTERNAL", true],
    ["UNKNOWN", true],
    ["CANCELLED", true],
    ["UNIMPLEMENTED", false],
    ["INVALID_ARGUMENT", false],
    ["RESOURCE_EXHAUSTED", false],
    ["UNAUTHENTICATED", false],
    ["PERMISSION_DENIED", false],
  ] as const)("of the transport unless the same would be said again: %s", (code, better) => {
    expect(canGetBetter(lost(StatusCode[code], "no"))).toBe(better);
    expect(canGetBetter(lost(StatusCode[code], "maybe"))).toBe(better);
  });
});

describe("the delay before a retry", () => {
  it("grows with the retries, between its bounds", () => {
    const error = lost(StatusCode.UNAVAILABLE);
    const most = [1, 2, 3, 4, 5].map((retry) => retryDelayMs(error, retry, { limits, random: () => 1 }));
    const least = [1, 2, 3, 4, 5].map((retry) => retryDelayMs(error, retry, { limits, random: () => 0 }));
    expect(most).toEqual([150, 450, 1_000, 1_000, 1_000]);
    expect(least).toEqual([50, 50, 50, 50, 50]);
  });

  it("is never less than the other side asks for, and is spread all the same", () => {
    const asked = fc.integer({ min: 0, max: 60_000 });
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(asked, fc.nat(100), random, (retryAfterMs, retry, drawn) => {
        const error = decided("OVERLOADED", { retryAfterMs });
        const delayMs = retryDelayMs(error, retry, { limits, random: () => drawn });
        expect(delayMs).toBeGreaterThanOrEqual(Math.max(50, retryAfterMs));
        expect(delayMs).toBeLessThanOrEqual(Math.max(1_000, retryAfterMs * 1.5));
        const latest = retryDelayMs(error, retry, { limits, random: () => 1 });
        expect(latest).toBeGreaterThan(retryDelayMs(error, retry, { limits, random: () => 0 }));
      }),
    );
  });
});

describe("the attempt of the next send", () => {
  it.each([
    { after: "a send that never left", error: lost(StatusCode.UNAVAILABLE, "no"), first: 0, later: 2 },
    { after: "a lost answer", error: lost(StatusCode.UNAVAILABLE), first: 1, later: 3 },
    { after: "a commit that may have been", error: decided("COMMIT_OUTCOME_UNKNOWN"), first: 1, later: 3 },
    { after: "a bug", error: decided("HANDLER_FAILED"), first: 1, later: 3 },
    // A first send that was rolled back leaves nothing to settle, and the next is as good as the first.
    { after: "too much load", error: decided("OVERLOADED"), first: 0, later: 3 },
    { after: "a drain", error: decided("DRAINING"), first: 0, later: 3 },
    { after: "an unmet guard", error: decided("GUARD_UNMET"), first: 0, later: 0 },
    { after: "a refusal for good", error: decided("REQUEST_REFUSED"), first: 0, later: 0 },
    {
      after: "an id of other steps",
      error: decided("REQUEST_ID_REUSED", { outcome: "UNKNOWN" }),
      first: 0,
      later: 0,
    },
    { after: "credentials that ran out", error: decided("UNAUTHENTICATED"), first: 0, later: 3 },
    { after: "a method taken away", error: decided("METHOD_NOT_ALLOWED"), first: 0, later: 3 },
    { after: "an id that ran out", error: decided("REQUEST_ID_EXPIRED"), first: 0, later: 3 },
  ])("says what may have had an effect: after $after", ({ error, first, later }) => {
    expect(nextAttempt(error, 0)).toBe(first);
    expect(nextAttempt(error, 2)).toBe(later);
  });
});
