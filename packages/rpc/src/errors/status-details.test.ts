import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Metadata, status, type StatusObject } from "@grpc/grpc-js";
import { ErrorInfoSchema } from "@tandem/contract/google/rpc/error_details";
import { StatusSchema } from "@tandem/contract/google/rpc/status";
import { ErrorReason } from "@tandem/contract/tandem/errors/v1/errors";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HandlerError } from "./handler-error.ts";
import { type Reason, reasonTraits } from "./reasons.ts";
import { cutToBytes, fromStatus, toStatus } from "./status-details.ts";

const METHOD = "tandem.assistant.v1.DbProxy/Transaction";
const reasons = Object.keys(reasonTraits) as Reason[];

describe("a handler's error as a status", () => {
  it.each(reasons)("comes back as it was: %s", (reason) => {
    const sent = new HandlerError({ reason, message: "Why, and what to do." });
    const { code, retryable, retryAfterMs, outcome } = sent;
    expect(fromStatus(toStatus(sent), METHOD)).toMatchObject({
      reason,
      code,
      retryable,
      retryAfterMs,
      outcome,
      message: "Why, and what to do.",
      method: METHOD,
    });
  });

  it("has a trait for every reason of the contract", () => {
    const named = Object.keys(ErrorReason).filter((name) => name !== "UNSPECIFIED");
    expect(reasons.toSorted()).toEqual(named.toSorted());
  });

  it("fits a header block of 8 KiB, and comes back, whatever the message and the fields are", () => {
    const anyText = fc.string({ unit: "binary", maxLength: 5_000 });
    const fields = fc.array(fc.record({ field: anyText, description: anyText }), { maxLength: 200 });
    const property = fc.property(anyText, fields, (message, violations) => {
      const encoded = toStatus(new HandlerError({ reason: "INVALID_REQUEST", message, fields: violations }));
      expect(headerBytes(encoded)).toBeLessThan(8 * 1024);
      expect(fromStatus(encoded, METHOD)?.reason).toBe("INVALID_REQUEST");
    });
    fc.assert(property, { numRuns: 200 });
  });

  it("keeps a message with half a surrogate pair from breaking the answer", () => {
    const encoded = toStatus(new HandlerError({ reason: "RAISED", message: "broken \ud800 text" }));
    expect(() => encodeURI(encoded.details)).not.toThrow();
  });
});

describe("a status of some peer", () => {
  it("is a handler's where its domain ends in tandem, and keeps a reason that this build doesn't know", () => {
    const error = fromStatus(withInfo({ domain: "assistant.tandem", reason: "OF_THE_FUTURE" }), METHOD);
    // Without a WriteFailure nothing may be concluded about the write.
    expect(error).toMatchObject({
      reason: "OF_THE_FUTURE",
      outcome: "UNKNOWN",
      retryable: false,
      code: status.ABORTED,
    });
  });

  it.each(["", "nottandem", "tandem.example.com", "example.com"])(
    "is nobody's of ours with the domain %j",
    (domain) => {
      expect(fromStatus(withInfo({ domain, reason: "GUARD_UNMET" }), METHOD)).toBeUndefined();
    },
  );
});

describe("cutting a text to bytes", () => {
  it("never exceeds them and never cuts a character in two", () => {
    const property = fc.property(
      fc.string({ unit: "grapheme" }),
      fc.integer({ min: 3, max: 60 }),
      (text, bytes) => {
        const cut = cutToBytes(text, bytes);
        expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(bytes);
        expect(cut.isWellFormed()).toBe(true);
        expect(cut === text || cut.endsWith("…")).toBe(true);
      },
    );
    fc.assert(property);
  });
});

function headerBytes({ details, metadata }: Pick<StatusObject, "details" | "metadata">): number {
  const [encoded] = metadata.get("grpc-status-details-bin");
  return Buffer.byteLength(encodeURI(details)) + Math.ceil(Buffer.byteLength(encoded ?? "") / 3) * 4;
}

function withInfo(info: { domain: string; reason: string }): StatusObject {
  const details = [anyPack(ErrorInfoSchema, create(ErrorInfoSchema, info))];
  const metadata = new Metadata();
  metadata.set(
    "grpc-status-details-bin",
    Buffer.from(toBinary(StatusSchema, create(StatusSchema, { details }))),
  );
  return { code: status.ABORTED, details: "no", metadata };
}
