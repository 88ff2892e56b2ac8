import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { channelById, contactWithChannels } from "@tandem/assistant-statements";
import {
  ChannelPolicy,
  ChannelStatus,
  type ContactChannelSchema,
  type ContactSchema,
} from "@tandem/contract/tandem/gateway/v1/contacts";
import type { DeclaredRow } from "@tandem/dbproxy";

/** A contact with one of its channels, or with none. */
export type ContactRow = DeclaredRow<(typeof contactWithChannels)["result"]>;
export type ChannelRow = DeclaredRow<(typeof channelById)["result"]>;

export type ContactMessage = MessageInitShape<typeof ContactSchema> & { readonly id: string };
export type ChannelMessage = MessageInitShape<typeof ContactChannelSchema>;

/** The contacts of rows in which those of one contact follow each other. */
export function toContacts(rows: readonly ContactRow[]): readonly ContactMessage[] {
  const contacts: (ContactMessage & { readonly channels: ChannelMessage[] })[] = [];
  for (const row of rows) {
    let contact = contacts.at(-1);
    if (contact?.id !== row.id) {
      contact = { ...toContact(row), channels: [] };
      contacts.push(contact);
    }
    const channel = toChannelOf(row);
    if (channel !== undefined) contact.channels.push(channel);
  }
  return contacts;
}

function toContact(row: ContactRow) {
  const { id, version, displayName, role } = row;
  return {
    id,
    version,
    displayName,
    role,
    createTime: toTimestamp(row.createdMicros),
    updateTime: toTimestamp(row.updatedMicros),
  };
}

function toChannelOf(row: ContactRow): ChannelMessage | undefined {
  if (row.channelId === null) return undefined;
  // Where there is a channel, its columns are NULL as they may be in its own table alone.
  return toChannel({ ...row, id: row.channelId, contactId: row.id } as ChannelRow);
}

export function toChannel(row: ChannelRow): ChannelMessage {
  const { id, contactId, type, address, interactionCount } = row;
  return {
    id,
    contactId,
    type,
    address,
    externalUserId: row.externalUserId ?? "",
    externalChatId: row.externalChatId ?? "",
    status: statuses.get(row.status) ?? ChannelStatus.UNSPECIFIED,
    policy: policies.get(row.policy) ?? ChannelPolicy.UNSPECIFIED,
    primary: row.isPrimary,
    verifiedVia: row.verifiedVia ?? "",
    ...(row.verifiedMicros === null ? {} : { verifyTime: toTimestamp(row.verifiedMicros) }),
    ...(row.lastSeenMicros === null ? {} : { lastSeenTime: toTimestamp(row.lastSeenMicros) }),
    interactionCount,
    version: row.channelVersion,
    revokeReason: row.revokedReason ?? "",
    blockReason: row.blockedReason ?? "",
    createTime: toTimestamp(row.channelCreatedMicros),
    updateTime: toTimestamp(row.channelUpdatedMicros),
  };
}

const statuses: ReadonlyMap<string, ChannelStatus> = new Map([
  ["unverified", ChannelStatus.UNVERIFIED],
  ["pending", ChannelStatus.PENDING],
  ["active", ChannelStatus.ACTIVE],
  ["revoked", ChannelStatus.REVOKED],
  ["blocked", ChannelStatus.BLOCKED],
]);

const policies: ReadonlyMap<string, ChannelPolicy> = new Map([
  ["allow", ChannelPolicy.ALLOW],
  ["deny", ChannelPolicy.DENY],
]);

/** None of these times is before 1970. */
function toTimestamp(micros: bigint): MessageInitShape<typeof TimestampSchema> {
  return { seconds: micros / 1_000_000n, nanos: Number(micros % 1_000_000n) * 1_000 };
}
