import { InviteKeysError, type KeysText, readWrittenKeys } from "@tandem/invites";
import { CommandError } from "./command-error.ts";

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
