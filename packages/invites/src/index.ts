export { createInviteOnce, type CreationRequest, type InviteCreation } from "./create-once.ts";
export {
  createInvite,
  type CreatedInvite,
  type CreateInviteOptions,
  type InviteTable,
} from "./create-invite.ts";
export {
  hashesOfRow,
  type InviteRow,
  type StatusName,
  toInvite,
  toInviteRow,
  toSecretHashes,
  toStatus,
  toStatusName,
} from "./invite-row.ts";
export {
  type InviteKey,
  type InviteKeys,
  InviteKeysError,
  isKeyId,
  parseInviteKeys,
  readWrittenKeys,
  type WrittenKey,
  type WrittenKeys,
} from "./keys.ts";
export { readInviteKeysFile } from "./keys-setting.ts";
export { inviteLimits } from "./limits.ts";
export { type KeysText, makeKey, writeKeys } from "./make-key.ts";
export { fromMirrorContactRequest, toMirrorContactRequest } from "./mirror-contact.ts";
export { fromMirrorRequest, fromState, toMirrorRequest, toState } from "./mirror-request.ts";
export { inviteIdOf, parseNewInvite, parseSourceChannel, type ValidInvite } from "./new-invite.ts";
export {
  deriveSecrets,
  hashesOf,
  hashSecrets,
  isSameHash,
  type LookUpHash,
  PHONE,
  type SecretHashes,
  type Secrets,
  secretsOf,
  type SecretsSubject,
  type ShownSecret,
} from "./secrets.ts";
export { fromTimestamp, toTimestamp } from "./timestamps.ts";
export { type WatchedInviteKeys, watchInviteKeys, type WatchInviteKeysOptions } from "./watch-keys.ts";
export { isUuid, parseUuid } from "./uuid.ts";
