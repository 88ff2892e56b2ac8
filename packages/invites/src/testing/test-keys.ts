import { createHash } from "node:crypto";
import { type InviteKeys, parseInviteKeys, type WrittenKey } from "../keys.ts";

/** A key as the file has it; the same id gives the same one. */
export function writtenKey(id: string): WrittenKey {
  const secret = (purpose: string): string =>
    createHash("sha256").update(`${purpose} ${id}`).digest("base64url");
  return { id, derive: secret("derive"), hash: secret("hash") };
}

/** Keys with these ids, of which the first is current. */
export function keysOf(...ids: readonly string[]): InviteKeys {
  return parseInviteKeys(JSON.stringify({ current: ids[0], keys: ids.map(writtenKey) }));
}
