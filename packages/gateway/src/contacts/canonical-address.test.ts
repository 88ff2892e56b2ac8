import { describe, expect, it } from "vitest";
import { canonicalAddress } from "./canonical-address.ts";

describe("the canonical form of an address", () => {
  it.each([
    ["email", " Ada.Lovelace@Example.ORG ", "ada.lovelace@example.org"],
    ["email", "ada@BÜCHER.example", "ada@xn--bcher-kva.example"],
    ["email", "ADA\u0301@example.org", "ad\u00e1@example.org"],
    ["email", '"a b"@example.org', undefined],
    ["email", "ada", undefined],
    ["email", "@example.org", undefined],
    ["email", "ada@", undefined],
    ["email", "ada@exa mple.org", undefined],
    ["email", "ada@b@example.org", undefined],
    ["email", "Ada <ada@example.org>", undefined],
    ["email", "ada@example.org/x", undefined],
    ["phone", "+49 (30) 901-820", "+4930901820"],
    ["whatsapp", " +1.202.555.0143", "+12025550143"],
    ["sms", "+1 202 555 0143", "+12025550143"],
    ["phone", "030 901820", undefined],
    ["phone", "+44 (0)20 7946 0958", undefined],
    ["phone", "+0301234567", undefined],
    ["phone", "+1234567890123456", undefined],
    ["phone", "+1 202 555 CALL", undefined],
    ["telegram", " @Ada ", "@Ada"],
    ["slack", "U024BE7LH", "U024BE7LH"],
    ["telegram", "  ", undefined],
    ["telegram", "a\0b", undefined],
    ["telegram", "a".repeat(321), undefined],
  ])("of %s %j is %j", (type, given, expected) => {
    const found = canonicalAddress(type, given);
    if (expected === undefined) expect(found).toHaveProperty("why");
    else expect(found).toEqual({ address: expected });
  });

  it.each([
    ["email", " Ada@BÜCHER.example"],
    ["phone", "+49 30 901820"],
    ["telegram", " @Ada"],
  ])("of what is in it already, %s %j, is the same", (type, given) => {
    const once = canonicalAddress(type, given);
    expect(canonicalAddress(type, "address" in once ? once.address : "")).toEqual(once);
  });
});
