import { X509Certificate } from "node:crypto";
import { expect, it } from "vitest";
import { createDevelopmentAuthority } from "./certificates.ts";

it("issues certificates that are its own, name their holder and this machine, and end", async () => {
  const authority = await createDevelopmentAuthority();
  const root = new X509Certificate(authority.certificate);
  const { certificate, key } = await authority.issue("gateway");
  const issued = new X509Certificate(certificate);
  expect(root.ca).toBe(true);
  expect(issued.ca).toBe(false);
  expect(issued.checkIssued(root)).toBe(true);
  expect(issued.verify(root.publicKey)).toBe(true);
  expect(issued.subjectAltName).toContain("URI:tandem://gateway");
  expect(issued.checkHost("localhost")).toBe("localhost");
  expect(issued.checkIP("127.0.0.1")).toBe("127.0.0.1");
  expect(issued.validToDate.getTime()).toBeGreaterThan(Date.now());
  expect(key).toContain("PRIVATE KEY");

  const expired = new X509Certificate((await authority.issue("gateway", { expired: true })).certificate);
  expect(expired.validToDate.getTime()).toBeLessThan(Date.now());
  const other = new X509Certificate((await createDevelopmentAuthority()).certificate);
  expect(issued.verify(other.publicKey)).toBe(false);
});
