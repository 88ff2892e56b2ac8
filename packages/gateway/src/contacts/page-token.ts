import { createHash } from "node:crypto";
import { invalidField } from "@tandem/rpc";

// A version, the last id of the page before, and a sum that tells a token from what somebody made up or cut off.
const VERSION = 1;
const ID_BYTES = 16;
const SUM_BYTES = 4;

/** The token of the page behind a contact. */
export function toPageToken(lastId: string): string {
  const body = Buffer.concat([Buffer.of(VERSION), Buffer.from(lastId.replaceAll("-", ""), "hex")]);
  return Buffer.concat([body, sumOf(body)]).toString("base64url");
}

/** The id behind which the page begins. Fails with INVALID_REQUEST for what is no token of ours. */
export function parsePageToken(token: string): string {
  const bytes = Buffer.from(token, "base64url");
  const body = bytes.subarray(0, 1 + ID_BYTES);
  const isWhole = bytes.length === 1 + ID_BYTES + SUM_BYTES && bytes[0] === VERSION;
  if (
    !isWhole ||
    token !== bytes.toString("base64url") ||
    !sumOf(body).equals(bytes.subarray(1 + ID_BYTES))
  ) {
    throw invalidField({ field: "page_token", why: "is none that ListContacts gave: begin without one" });
  }
  const hex = body.subarray(1).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function sumOf(body: Uint8Array): Buffer {
  return createHash("sha256").update("contacts").update(body).digest().subarray(0, SUM_BYTES);
}
