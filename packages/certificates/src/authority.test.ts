import { X509Certificate } from "node:crypto";
import { expect, it } from "vitest";
import { createAuthority, issueCertificate } from "./authority.ts";
import { readPair } from "./pem-pair.ts";
import { namesFor } from "./subject-names.ts";

const DAY_MS = 24 * 3_600_000;

const inDays = (days: number): Date => new Date(Date.now() + days * DAY_MS);

it("issues certificates that are the authority's own, name their holder and this machine, and end", async () => {
  const authority = await createAuthority();
  const root = readPair(authority);
  const request = { subject: "gateway", names: namesFor("gateway"), validUntil: inDays(365) };
  const issued = readPair(await issueCertificate(authority, request));
  expect(root.ca).toBe(true);
  expect(root.validToDate.getTime()).toBeGreaterThan(inDays(3_649).getTime());
  expect(issued.ca).toBe(false);
  expect(issued.checkIssued(root)).toBe(true);
  expect(issued.verify(root.publicKey)).toBe(true);
  expect(issued.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
  expect(issued.validToDate.getTime()).toBe(Math.floor(request.validUntil.getTime() / 1000) * 1000);
  expect(issued.subjectAltName).toBe(
    "URI:tandem://gateway, DNS:localhost, DNS:gateway, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
  );
  // serverAuth and clientAuth
  expect(issued.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
});

it("issues what another authority of the same name didn't", async () => {
  const [one, other] = await Promise.all([createAuthority(), createAuthority()]);
  const request = { subject: "gateway", names: namesFor("gateway"), validUntil: inDays(1) };
  const issued = new X509Certificate((await issueCertificate(one, request)).certificate);
  expect(issued.verify(new X509Certificate(other.certificate).publicKey)).toBe(false);
});
