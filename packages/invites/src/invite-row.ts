import { create } from "@bufbuild/protobuf";
import {
  type Invite,
  InviteSchema,
  type InviteSecretHashes,
  InviteSecretHashesSchema,
  InviteStatus,
  RedemptionSchema,
} from "@tandem/contract/tandem/invite/v1/invite";
import type { SecretHashes } from "./secrets.ts";
import { fromTimestamp, toTimestamp } from "./timestamps.ts";

/** The status as the tables have it. */
export type StatusName = "active" | "redeemed" | "revoked" | "expired";

/** An invite by the columns of its table, as `Database.sql` reads them. No text in it is empty, and no hash. */
export interface InviteRow {
  readonly id: string;
  readonly contact_id: string;
  readonly source_channel: string;
  readonly key_id: string;
  readonly token_hash: Uint8Array | null;
  readonly invite_code_hash: Uint8Array | null;
  readonly voice_code_hash: Uint8Array | null;
  readonly voice_code_digits: number | null;
  readonly expected_external_user_id: string | null;
  readonly source_conversation_id: string | null;
  readonly friend_name: string | null;
  readonly guardian_name: string | null;
  readonly note: string | null;
  readonly max_uses: number;
  readonly use_count: number;
  /** Times are PostgreSQL's text, in UTC, to the microsecond: with a blank, or as JSON has it, with a T. */
  readonly expires_at: string;
  readonly status: StatusName;
  readonly redeemed_by_external_user_id: string | null;
  readonly redeemed_by_external_chat_id: string | null;
  readonly redeemed_at: string | null;
  readonly version: bigint;
  readonly created_at: string;
  readonly updated_at: string;
}

const statusByName: Readonly<Record<StatusName, InviteStatus>> = {
  active: InviteStatus.ACTIVE,
  redeemed: InviteStatus.REDEEMED,
  revoked: InviteStatus.REVOKED,
  expired: InviteStatus.EXPIRED,
};
const nameByStatus: ReadonlyMap<InviteStatus, StatusName> = new Map(
  Object.entries(statusByName).map(([name, status]) => [status, name as StatusName]),
);

/** The contract's status of a row's. */
export function toStatus(name: StatusName): InviteStatus {
  return statusByName[name];
}

/** A row's status of the contract's; undefined for none that rows can have. */
export function toStatusName(status: InviteStatus): StatusName | undefined {
  return nameByStatus.get(status);
}

/** The invite as callers see it: everything but its hashes. Fails with a RangeError where a time is none of UTC. */
export function toInvite(row: InviteRow): Invite {
  return create(InviteSchema, {
    id: row.id,
    version: row.version,
    contactId: row.contact_id,
    sourceChannel: row.source_channel,
    status: toStatus(row.status),
    maxUses: row.max_uses,
    useCount: row.use_count,
    expireTime: toTimestamp(row.expires_at),
    note: row.note ?? "",
    ...redemptionOf(row),
    createTime: toTimestamp(row.created_at),
    updateTime: toTimestamp(row.updated_at),
    sourceConversationId: row.source_conversation_id ?? "",
    expectedExternalUserId: row.expected_external_user_id ?? "",
    voiceCodeDigits: row.voice_code_digits ?? 0,
    friendName: row.friend_name ?? "",
    guardianName: row.guardian_name ?? "",
  });
}

/** The row's hashes, for the other side alone: they leave over no public call. */
export function toSecretHashes(row: InviteRow): InviteSecretHashes {
  return create(InviteSecretHashesSchema, {
    keyId: row.key_id,
    tokenHash: toBytes(row.token_hash),
    codeHash: toBytes(row.invite_code_hash),
    voiceCodeHash: toBytes(row.voice_code_hash),
  });
}

/** The row's hashes, for `secretsOf`. */
export function hashesOfRow(row: InviteRow): SecretHashes {
  return {
    keyId: row.key_id,
    tokenHash: row.token_hash,
    codeHash: row.invite_code_hash,
    voiceCodeHash: row.voice_code_hash,
  };
}

/** The row of an invite and its hashes; undefined where its status or a time is missing. */
export function toInviteRow(invite: Invite, hashes: InviteSecretHashes): InviteRow | undefined {
  const { expireTime, createTime, updateTime, redemption } = invite;
  const status = toStatusName(invite.status);
  if (status === undefined || !expireTime || !createTime || !updateTime) return undefined;
  return {
    id: invite.id,
    contact_id: invite.contactId,
    source_channel: invite.sourceChannel,
    key_id: hashes.keyId,
    token_hash: orNull(hashes.tokenHash),
    invite_code_hash: orNull(hashes.codeHash),
    voice_code_hash: orNull(hashes.voiceCodeHash),
    voice_code_digits: invite.voiceCodeDigits === 0 ? null : invite.voiceCodeDigits,
    expected_external_user_id: orNull(invite.expectedExternalUserId),
    source_conversation_id: orNull(invite.sourceConversationId),
    friend_name: orNull(invite.friendName),
    guardian_name: orNull(invite.guardianName),
    note: orNull(invite.note),
    max_uses: invite.maxUses,
    use_count: invite.useCount,
    expires_at: fromTimestamp(expireTime),
    status,
    redeemed_by_external_user_id: orNull(redemption?.externalUserId ?? ""),
    redeemed_by_external_chat_id: orNull(redemption?.externalChatId ?? ""),
    redeemed_at: redemption?.redeemTime === undefined ? null : fromTimestamp(redemption.redeemTime),
    version: invite.version,
    created_at: fromTimestamp(createTime),
    updated_at: fromTimestamp(updateTime),
  };
}

function redemptionOf(row: InviteRow): Pick<Invite, "redemption"> | undefined {
  const { redeemed_by_external_user_id: user, redeemed_by_external_chat_id: chat, redeemed_at: at } = row;
  if (user === null && chat === null && at === null) return undefined;
  return {
    redemption: create(RedemptionSchema, {
      externalUserId: user ?? "",
      externalChatId: chat ?? "",
      ...(at === null ? {} : { redeemTime: toTimestamp(at) }),
    }),
  };
}

// protobuf's bytes are kept apart from Node's pool of buffers.
function toBytes(hash: Uint8Array | null): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hash ?? []);
}

function orNull<T extends string | Uint8Array>(value: T): T | null {
  return value.length === 0 ? null : value;
}
