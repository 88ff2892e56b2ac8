import { expect, it } from "vitest";
import { CertificatesError } from "./certificates-error.ts";
import { checkHost, checkName, namesFor } from "./subject-names.ts";

it("names each host once, however it is written", () => {
  const hosts = [
    "Gateway.Internal",
    "gateway.internal",
    "10.0.0.7",
    "0:0:0:0:0:0:0:1",
    "FD00::1",
    "localhost",
  ];
  expect(namesFor("gateway", hosts).map(({ type, value }) => `${type} ${value}`)).toEqual([
    "url tandem://gateway",
    "dns localhost",
    "dns gateway",
    "ip 127.0.0.1",
    "ip ::1",
    "dns gateway.internal",
    "ip 10.0.0.7",
    "ip fd00::1",
  ]);
});

it.each(["gateway", "a", "gateway-2.eu_west", "a".repeat(63)])("takes %j as a name", (name) => {
  checkName(name);
});

it.each([
  "",
  "Gateway",
  "../gateway",
  "a/b",
  ".",
  "..",
  "-a",
  "a b",
  "spiffe://x/y",
  "a".repeat(64),
  "authority",
])("refuses %j as a name", (name) => {
  expect(() => checkName(name)).toThrow(CertificatesError);
});

it.each(["", "a b", "http://a", "a:443", "*.a", "a,DNS:b"])("refuses %j as a host", (host) => {
  expect(() => checkHost(host)).toThrow(CertificatesError);
});
