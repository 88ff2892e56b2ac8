import { X509Certificate } from "node:crypto";
import { expect, it } from "vitest";
import { createDevelopmentAuthority } from "./certificates.ts";

it("issues what a service is given, and what none is: expired, or with other names", async () => {
  const authority = await createDevelopmentAuthority();
  const root = new X509Certificate(authority.certificate);
  const issue = async (...[name, options]: Parameters<typeof authority.issue>): Promise<X509Certificate> => {
    const issued = new X509Certificate((await authority.issue(name, options)).certificate);
    expect(issued.checkIssued(root) && issued.verify(root.publicKey)).toBe(true);
    return issued;
  };

  const usual = await issue("gateway");
  expect(usual.subjectAltName).toContain("URI:tandem://gateway, DNS:localhost");
  expect(usual.validToDate.getTime()).toBeGreaterThan(Date.now());

  expect((await issue("gateway", { expired: true })).validToDate.getTime()).toBeLessThan(Date.now());

  const odd = await issue("gateway", { names: [{ type: "email", value: "gateway@example.org" }] });
  expect(odd.subjectAltName).toBe("email:gateway@example.org");
});
