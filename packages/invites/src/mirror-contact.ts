import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  ChannelPolicy,
  ChannelStatus,
  type Contact,
  type ContactChannel,
  ContactChannelSchema,
  ContactSchema,
} from "@tandem/contract/tandem/gateway/v1/contacts";
import {
  type MirrorContactRequest,
  MirrorContactRequestSchema,
} from "@tandem/contract/tandem/gateway/v1/invite_mirror";
import type { MirrorItem } from "@tandem/postgres";
import { invalidField } from "@tandem/rpc";
import { fromTimestamp, toTimestamp } from "./timestamps.ts";
import { isUuid } from "./uuid.ts";

/** A contact by the columns of its table, and its channels by theirs, as `to_jsonb` writes them. No text in them is empty. */
interface ContactState {
  readonly id: string;
  readonly display_name: string;
  readonly role: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly contact_channels: readonly ChannelState[];
}

interface ChannelState {
  readonly id: string;
  readonly contact_id: string;
  readonly type: string;
  readonly address: string;
  readonly external_user_id: string | null;
  readonly external_chat_id: string | null;
  readonly is_primary: boolean;
  readonly status: keyof typeof statusByName;
  readonly policy: keyof typeof policyByName;
  readonly verified_at: string | null;
  readonly verified_via: string | null;
  readonly revoked_reason: string | null;
  readonly blocked_reason: string | null;
  readonly last_seen_at: string | null;
  readonly interaction_count: number;
  readonly version: number;
  readonly created_at: string;
  readonly updated_at: string;
}

const statusByName = {
  unverified: ChannelStatus.UNVERIFIED,
  pending: ChannelStatus.PENDING,
  active: ChannelStatus.ACTIVE,
  revoked: ChannelStatus.REVOKED,
  blocked: ChannelStatus.BLOCKED,
} as const;

const policyByName = { allow: ChannelPolicy.ALLOW, deny: ChannelPolicy.DENY } as const;

/** What the outbox has of a contact, as the other side is sent it: a tombstone where the contact was deleted. */
export function toMirrorContactRequest(item: MirrorItem, sourceInstanceId: string): MirrorContactRequest {
  const { id, version, state, updatedAt } = item;
  const contact =
    state === undefined
      ? create(ContactSchema, { id, version, deleteTime: toTimestamp(updatedAt) })
      : // Our own database wrote it, from tables with these columns.
        toContact(JSON.parse(state) as ContactState, version);
  return create(MirrorContactRequestSchema, { contact, sourceInstanceId });
}

/**
 * The same as it was in the outbox, for `mirror.apply_contact`. Fails with an INVALID_REQUEST where rows can't be made of
 * it; what the tables themselves refuse is left to them.
 */
export function fromMirrorContactRequest({ contact }: MirrorContactRequest): MirrorItem {
  if (contact === undefined) throw invalidField({ field: "contact", why: "is missing" });
  const { id, version, deleteTime } = contact;
  if (!isUuid(id)) throw invalidField({ field: "contact.id", why: "must be a UUID, in lower case" });
  if (version < 1n) throw invalidField({ field: "contact.version", why: "must be at least 1" });
  if (deleteTime !== undefined) {
    return { id, version, state: undefined, updatedAt: toText(deleteTime, "contact.delete_time") };
  }
  const updatedAt = toText(contact.updateTime, "contact.update_time");
  return { id, version, state: toState(contact, updatedAt), updatedAt };
}

function toContact(state: ContactState, version: bigint): Contact {
  return create(ContactSchema, {
    id: state.id,
    version,
    displayName: state.display_name,
    role: state.role,
    channels: state.contact_channels.map(toChannel),
    createTime: toTimestamp(state.created_at),
    updateTime: toTimestamp(state.updated_at),
  });
}

function toChannel(state: ChannelState): ContactChannel {
  const { verified_at: verifiedAt, last_seen_at: lastSeenAt } = state;
  return create(ContactChannelSchema, {
    id: state.id,
    contactId: state.contact_id,
    type: state.type,
    address: state.address,
    externalUserId: state.external_user_id ?? "",
    externalChatId: state.external_chat_id ?? "",
    status: statusByName[state.status],
    policy: policyByName[state.policy],
    primary: state.is_primary,
    verifiedVia: state.verified_via ?? "",
    ...(verifiedAt === null ? {} : { verifyTime: toTimestamp(verifiedAt) }),
    ...(lastSeenAt === null ? {} : { lastSeenTime: toTimestamp(lastSeenAt) }),
    interactionCount: BigInt(state.interaction_count),
    version: BigInt(state.version),
    revokeReason: state.revoked_reason ?? "",
    blockReason: state.blocked_reason ?? "",
    createTime: toTimestamp(state.created_at),
    updateTime: toTimestamp(state.updated_at),
  });
}

function toState(contact: Contact, updatedAt: string): string {
  const state: ContactState = {
    id: contact.id,
    display_name: contact.displayName,
    role: contact.role,
    created_at: toText(contact.createTime, "contact.create_time"),
    updated_at: updatedAt,
    contact_channels: contact.channels.map((channel, index) =>
      toChannelState(channel, `contact.channels[${index}]`),
    ),
  };
  return JSON.stringify(state);
}

function toChannelState(channel: ContactChannel, field: string): ChannelState {
  const { verifyTime, lastSeenTime } = channel;
  return {
    id: channel.id,
    contact_id: channel.contactId,
    type: channel.type,
    address: channel.address,
    external_user_id: orNull(channel.externalUserId),
    external_chat_id: orNull(channel.externalChatId),
    is_primary: channel.primary,
    status: nameOf(statusByName, channel.status, `${field}.status`),
    policy: nameOf(policyByName, channel.policy, `${field}.policy`),
    verified_at: verifyTime === undefined ? null : toText(verifyTime, `${field}.verify_time`),
    verified_via: orNull(channel.verifiedVia),
    revoked_reason: orNull(channel.revokeReason),
    blocked_reason: orNull(channel.blockReason),
    last_seen_at: lastSeenTime === undefined ? null : toText(lastSeenTime, `${field}.last_seen_time`),
    interaction_count: Number(channel.interactionCount),
    version: Number(channel.version),
    created_at: toText(channel.createTime, `${field}.create_time`),
    updated_at: toText(channel.updateTime, `${field}.update_time`),
  };
}

function nameOf<Names extends Readonly<Record<string, number>>>(
  names: Names,
  value: number,
  field: string,
): keyof Names {
  const name = Object.keys(names).find((each) => names[each] === value);
  if (name === undefined) throw invalidField({ field, why: "is none that this server knows" });
  return name;
}

function toText(time: Timestamp | undefined, field: string): string {
  if (time === undefined) throw invalidField({ field, why: "is missing" });
  try {
    return fromTimestamp(time);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw invalidField({ field, why: "is not of the years 1 to 9999" });
  }
}

const orNull = (text: string): string | null => (text === "" ? null : text);
