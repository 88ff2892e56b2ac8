import { SettingError, type Settings } from "@tandem/rpc";

/** Where the keys are, which both services are given. Fails with a SettingError. */
export function readInviteKeysFile(settings: Settings): string {
  const file = settings.optional("TANDEM_INVITE_KEYS_FILE");
  if (file !== undefined) return file;
  throw new SettingError(
    "TANDEM_INVITE_KEYS_FILE is not set: both services are given the same keys (`npm run tandem -- invite-keys add` makes the file).",
  );
}
