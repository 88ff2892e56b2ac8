import { randomBytes } from "node:crypto";
import type { WrittenKey } from "./keys.ts";
import { inviteLimits } from "./limits.ts";

/** What a file of keys holds. */
export interface KeysText {
  /** The id of the key that makes new invites. */
  readonly current: string;
  readonly keys: readonly WrittenKey[];
}

const DATE_LENGTH = "2026-11-21".length;

/** The file's text, which no service refuses. */
export function writeKeys(keys: KeysText): string {
  return `${JSON.stringify(keys, undefined, 2)}\n`;
}

/** A key with secrets that nobody has seen, named after the day, and numbered where the day has one already. */
export function makeKey(before: readonly WrittenKey[], now: Date = new Date()): WrittenKey {
  const day = now.toISOString().slice(0, DATE_LENGTH);
  const isTaken = (id: string): boolean => before.some((key) => key.id === id);
  let id = day;
  for (let number = 2; isTaken(id); number += 1) id = `${day}-${number}`;
  const makeSecret = (): string => randomBytes(inviteLimits.minKeyBytes).toString("base64url");
  return { id, derive: makeSecret(), hash: makeSecret() };
}
