import { describe, expect, it } from "vitest";
import { callerOfNames, CallerNameError, checkCallerName } from "./caller-name.ts";

describe("who a certificate is for", () => {
  it.each([
    ["URI:tandem://gateway", "gateway"],
    ["DNS:localhost, URI:tandem://gateway, IP Address:127.0.0.1, DNS:gateway.example.org", "gateway"],
    ["URI:spiffe://example.org/ns/main/sa/gateway", "spiffe://example.org/ns/main/sa/gateway"],
    ["DNS:gateway.example.org", "gateway.example.org"],
    ["IP Address:127.0.0.1, DNS:gateway, email:someone@example.org", "gateway"],
  ])("%s is %s", (names, caller) => {
    expect(callerOfNames(names)).toBe(caller);
  });

  it.each([
    [undefined, "neither a URI nor a DNS name"],
    ["", "neither a URI nor a DNS name"],
    ["IP Address:127.0.0.1", "neither a URI nor a DNS name"],
    ["URI:tandem://gateway, URI:tandem://cli", "more than one caller"],
    ["URI:tandem://gateway, URI:tandem://gateway", "more than one caller"],
    ["DNS:gateway, DNS:cli", "more than one caller"],
    // As Node writes the one name `tandem://a, URI:tandem://gateway`.
    ['URI:"tandem://a, URI:tandem://gateway"', "quoting"],
    ['URI:tandem://gateway, DNS:"a\\u0000b"', "quoting"],
    ["DNS:*.example.org", "a caller's name"],
    ["DNS:Gateway", "a caller's name"],
    ["URI:tandem://", "a caller's name"],
    ["URI:tandem://tandem://gateway", "a caller's name"],
    ["URI:tandem://gateway/extra", "a caller's name"],
    ["DNS:spiffe://example.org/x", "a caller's name"],
    ["URI:gateway", "a caller's name"],
    ["URI:tandem://spiffe://example.org/x", "a caller's name"],
  ])("%s is nobody", (names, why) => {
    expect(() => callerOfNames(names)).toThrow(CallerNameError);
    expect(() => callerOfNames(names)).toThrow(why);
  });
});

it("takes names without anything that would need quoting in a log or a rule", () => {
  for (const name of ["a", "gateway", "gateway-2.example_org", "x".repeat(253)]) {
    expect(checkCallerName(name)).toBe(name);
  }
  for (const name of ["", "-a", "a-", "a b", "a\n", "A", "ü", "tandem://a", "x".repeat(254)]) {
    expect(() => checkCallerName(name)).toThrow(CallerNameError);
  }
});
