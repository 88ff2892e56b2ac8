import type { ChannelAddress, UpsertContactRequest } from "@tandem/contract/tandem/gateway/v1/contacts";
import { invalidField } from "@tandem/rpc";
import { contactsLimits } from "./limits.ts";
import {
  parseAddress,
  parseExpectedVersion,
  parseId,
  parseLine,
  parseOptionalRequestId,
} from "./request-fields.ts";

/** What an upsert asks for, checked as far as it can be without a database. */
export interface ContactUpsert {
  readonly requestId: string | undefined;
  readonly id: string | undefined;
  /** Empty where it is to stay. */
  readonly displayName: string;
  readonly channels: readonly GivenChannel[];
  /** 0: the contact must not be there yet. */
  readonly expectedVersion: bigint | null;
}

export interface GivenChannel {
  readonly type: string;
  /** In canonical form. */
  readonly address: string;
  /** Null where they are to stay. */
  readonly externalUserId: string | null;
  readonly externalChatId: string | null;
  readonly primary: boolean;
}

/** Fails with INVALID_REQUEST or REQUEST_TOO_LARGE, and names the field. */
export function parseUpsert(request: UpsertContactRequest): ContactUpsert {
  const { maxChannels, maxNameLength } = contactsLimits;
  const { channels } = request;
  if (channels.length > maxChannels) {
    const why = `has ${channels.length} channels, the limit is ${maxChannels}: send the others in further requests`;
    throw invalidField({ reason: "REQUEST_TOO_LARGE", field: "channels", why });
  }
  const upsert: ContactUpsert = {
    requestId: parseOptionalRequestId(request.requestId),
    id: request.id === "" ? undefined : parseId(request.id),
    displayName: parseLine(request.displayName, "display_name", maxNameLength),
    channels: channels.map(parseChannel),
    expectedVersion: parseExpectedVersion(request.expectedVersion),
  };
  refuseTwice(upsert.channels);
  if (upsert.id === undefined && channels.length === 0 && upsert.displayName === "") {
    throw invalidField({ field: "display_name", why: "is required to create a contact" });
  }
  return upsert;
}

function parseChannel(given: ChannelAddress, index: number): GivenChannel {
  const prefix = `channels[${index}].`;
  const { maxExternalIdLength } = contactsLimits;
  const externalId = (text: string, field: string): string | null => {
    const id = parseLine(text, prefix + field, maxExternalIdLength);
    return id === "" ? null : id;
  };
  return {
    ...parseAddress(given, prefix),
    externalUserId: externalId(given.externalUserId, "external_user_id"),
    externalChatId: externalId(given.externalChatId, "external_chat_id"),
    primary: given.primary,
  };
}

/** An address can't be had twice in one request, nor a primary channel of one type. */
function refuseTwice(channels: readonly GivenChannel[]): void {
  const seen = new Map<string, number>();
  const primaries = new Map<string, number>();
  for (const [index, { type, address, primary }] of channels.entries()) {
    const before = seen.get(`${type} ${address}`);
    if (before !== undefined) {
      throw invalidField({
        field: `channels[${index}].address`,
        why: `is that of channels[${before}]: keep one`,
      });
    }
    seen.set(`${type} ${address}`, index);
    if (!primary) continue;
    const first = primaries.get(type);
    if (first !== undefined) {
      const why = `can't be set: channels[${first}] is the primary channel of type ${type}`;
      throw invalidField({ field: `channels[${index}].primary`, why });
    }
    primaries.set(type, index);
  }
}
