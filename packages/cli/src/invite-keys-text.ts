import { inviteLimits, InviteKeysError, readWrittenKeys, type WrittenKey } from "@tandem/invites";
import { randomBytes } from "node:crypto";
import { CommandError } from "./command-error.ts";

/** A file of keys, as a command changes it. */
export interface KeysText {
  readonly current: string;
  readonly keys: readonly WrittenKey[];
}

const DATE_LENGTH = "2026-11-21".length;

/** Reads a file's text. Fails with a CommandError that names the file, as `file` is to be shown, and the key. */
export function readKeys(text: string, file: string): KeysText {
  try {
    const { current, keys } = readWrittenKeys(text);
    return { current: current.id, keys };
  } catch (cause) {
    if (!(cause instanceof InviteKeysError)) throw cause;
    throw new CommandError(
      `${file} can't be used as the keys of invites: ${cause.message}. Nothing was changed.`,
      {
        cause,
      },
    );
  }
}

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
