import { HandlerError, StatusCode, TransportError } from "@tandem/rpc";
import { expect, it } from "vitest";
import { translateAssistantFailure } from "./assistant-failures.ts";

const method = "tandem.assistant.v1.DbProxy/Transaction";

function received(reason: string, outcome: "NOT_COMMITTED" | "UNKNOWN"): HandlerError {
  const options = {
    code: StatusCode.ABORTED,
    reason,
    retryable: true,
    message: "As it was said.",
    outcome,
    method,
  };
  return new HandlerError({ ...options, step: 1 });
}

it.each(["NOT_COMMITTED", "UNKNOWN"] as const)("passes on what is said of the write: %s", (outcome) => {
  const translated = translateAssistantFailure(received("NOT_AUTHORITATIVE", outcome), "write");
  expect(translated).toMatchObject({
    reason: "NOT_AUTHORITATIVE",
    outcome,
    message: "As it was said.",
    step: 1,
  });
  // It is the gateway's own word now.
  expect(translated).toMatchObject({ method: undefined, retryable: true });
});

it("leaves alone what is no caller's business", () => {
  for (const error of [
    received("METHOD_NOT_ALLOWED", "UNKNOWN"),
    received("OF_TOMORROW", "UNKNOWN"),
    new TypeError(),
  ]) {
    expect(translateAssistantFailure(error, "write")).toBe(error);
  }
});

it("passes on what is said beside that, where it is asked for, with the fields that are at fault", () => {
  const fields = [{ field: "invite.max_uses", description: "must be at least 1" }];
  const options = { code: StatusCode.INVALID_ARGUMENT, retryable: false, message: "As it was said.", method };
  const error = new HandlerError({ ...options, reason: "INVALID_REQUEST", fields });
  expect(translateAssistantFailure(error, "write")).toBe(error);
  const translated = translateAssistantFailure(error, "write", new Set(["INVALID_REQUEST"]));
  expect(translated).toMatchObject({ reason: "INVALID_REQUEST", fields, method: undefined });
});

it.each([
  ["write", "no", "DATABASE_UNAVAILABLE", "NOT_COMMITTED"],
  ["write", "maybe", "COMMIT_OUTCOME_UNKNOWN", "UNKNOWN"],
  ["read", "maybe", "DATABASE_UNAVAILABLE", "NOT_COMMITTED"],
] as const)("says of a %s that was sent: %s, %s with outcome %s", (during, sent, reason, outcome) => {
  const error = new TransportError({
    code: StatusCode.UNAVAILABLE,
    sent,
    method,
    address: "a:1",
    details: "gone",
  });
  expect(translateAssistantFailure(error, during)).toMatchObject({ reason, outcome, retryable: true });
});
