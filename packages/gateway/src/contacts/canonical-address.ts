import { domainToASCII } from "node:url";
import { contactsLimits } from "./limits.ts";

/** An address in the form in which it is stored and compared, or why it can't be one. */
export type CanonicalAddress = { readonly address: string } | { readonly why: string };

const numbered: ReadonlySet<string> = new Set(["phone", "whatsapp", "sms"]);

/**
 * The one form of an address, by the type of its channel:
 * - email: trimmed, in lower case on both sides of the @ (no provider that people use tells them apart), the domain
 *   in ASCII (`bücher.example` is `xn--bcher-kva.example`).
 * - phone, whatsapp, sms: E.164, `+4930901820`; spaces, dots, hyphens, slashes and parentheses between the digits are
 *   left out. Without a + and the country's code nobody knows whose number it is.
 * - any other: trimmed.
 */
export function canonicalAddress(type: string, given: string): CanonicalAddress {
  const address = given.trim();
  if (address === "") return { why: "is empty" };
  if (address.length > contactsLimits.maxAddressLength) {
    return { why: `is longer than ${contactsLimits.maxAddressLength} characters` };
  }
  if (/\p{Cc}/u.test(address)) return { why: "holds a control character" };
  if (type === "email") return canonicalEmail(address);
  return numbered.has(type) ? canonicalNumber(address) : { address };
}

function canonicalEmail(address: string): CanonicalAddress {
  const why = "is no address of an e-mail, such as ada@example.org";
  const at = address.lastIndexOf("@");
  const local = address.slice(0, Math.max(at, 0)).normalize("NFC").toLowerCase();
  const given = address.slice(at + 1);
  // What a URL's host may hold beside a name is no domain here.
  const domain = /[\s%:/?#[\]\\]/.test(given) ? "" : domainToASCII(given);
  if (local === "" || domain === "" || /[\s@<>]/.test(local)) return { why };
  return { address: `${local}@${domain}` };
}

function canonicalNumber(address: string): CanonicalAddress {
  // The 0 in +44 (0)20 is not dialled from abroad.
  const number = address.includes("(0)") ? "" : address.replaceAll(/[\s().\-/]/g, "");
  if (/^\+[1-9]\d{5,14}$/.test(number)) return { address: number };
  return { why: "is no number in E.164, such as +4930901820: a + and the country's code, 15 digits at most" };
}
