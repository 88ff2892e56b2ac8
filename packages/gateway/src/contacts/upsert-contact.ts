import {
  contactOfAddress,
  contactWithChannels,
  keepOnePrimary,
  ownersOfAddresses,
  upsertContact as upsertAlone,
  upsertContactWithChannels,
} from "@tandem/assistant-statements";
import { HandlerError, invalidField } from "@tandem/rpc";
import type { Decider, WriteOptions } from "../authority/decider.ts";
import { type DeclaredStep, step } from "../authority/declared-step.ts";
import { requireAuthority } from "../authority/require-authority.ts";
import { type ContactMessage, type ContactRow, toContacts } from "./contact-messages.ts";
import { newIds } from "./derived-id.ts";
import type { ContactUpsert } from "./parse-upsert.ts";
import { contactNotFound, staleVersion } from "./refusals.ts";
import { writeGuarded } from "./write-guarded.ts";

/**
 * Creates a contact or changes the one that is meant, with its channels, in one transaction, and gives it as it is then.
 * Status and policy of a channel, and what verified it, stay what they are. Fails with a HandlerError: UNIQUE_VIOLATION,
 * STALE_VERSION, CONTACT_NOT_FOUND, or INVALID_REQUEST where a new contact has no name.
 */
export async function upsertContact(
  decider: Decider,
  upsert: ContactUpsert,
  options: WriteOptions,
): Promise<ContactMessage> {
  const { steps, read } = stepsOf(upsert, options);
  const rows = await writeGuarded(
    async () => {
      const outcomes = await decider.write([...steps, read], options);
      return outcomes.at(-1)?.rows as readonly ContactRow[] | undefined;
    },
    { signal: options.signal, explain: () => explain(decider, upsert, options) },
  );
  // What is kept of a large answer for a copy of the request has no rows.
  const seen = rows === undefined || rows.length === 0 ? await decider.read(read, options) : rows;
  const [contact] = toContacts(seen);
  if (contact !== undefined) return contact;
  const message = "The contact was written, and has been deleted since.";
  throw new HandlerError({ reason: "CONTACT_NOT_FOUND", message, outcome: "COMMITTED" });
}

/** They follow from the request alone: a copy of it asks for the same. */
function stepsOf(
  { id, displayName, channels, expectedVersion }: ContactUpsert,
  options: WriteOptions,
): { readonly steps: readonly DeclaredStep[]; readonly read: DeclaredStep<ContactRow> } {
  const idOf = newIds(options);
  const [first] = channels;
  if (first === undefined) {
    const contactId = id ?? idOf("contact");
    const change = step(upsertAlone, { id: contactId, displayName, expectedVersion }, { min: 1 });
    return { steps: [change], read: step(contactWithChannels, { id: contactId }) };
  }
  const change = step(
    upsertContactWithChannels,
    {
      id: id ?? null,
      newId: idOf("contact"),
      displayName,
      expectedVersion,
      channelIds: channels.map(({ type, address }) => idOf(`channel ${type} ${address}`)),
      ...addressesOf(channels),
      externalUserIds: channels.map(({ externalUserId }) => externalUserId),
      externalChatIds: channels.map(({ externalChatId }) => externalChatId),
      primaries: channels.map(({ primary }) => primary),
    },
    { min: channels.length, max: channels.length },
  );
  const primaries = channels.filter(({ primary }) => primary);
  const others = primaries.length === 0 ? [] : [step(keepOnePrimary, addressesOf(primaries))];
  const { type, address } = first;
  return { steps: [change, ...others], read: step(contactOfAddress, { type, address }) };
}

function addressesOf(channels: ContactUpsert["channels"]) {
  return { types: channels.map(({ type }) => type), addresses: channels.map(({ address }) => address) };
}

/** What stands in the way of it, as it is now. */
async function explain(
  decider: Decider,
  { id, displayName, channels, expectedVersion }: ContactUpsert,
  options: WriteOptions,
): Promise<HandlerError | undefined> {
  await requireAuthority(decider, options);
  const owned =
    channels.length === 0 ? [] : await decider.read(step(ownersOfAddresses, addressesOf(channels)), options);
  const ownerOf = new Map(owned.map(({ type, address, contactId }) => [`${type} ${address}`, contactId]));
  let target = id;
  for (const [index, { type, address }] of channels.entries()) {
    const owner = ownerOf.get(`${type} ${address}`);
    if (owner === undefined) continue;
    target ??= owner;
    if (owner !== target)
      return belongsToAnother({ index, owner, meant: id === undefined ? target : undefined });
  }
  const rows =
    target === undefined ? [] : await decider.read(step(contactWithChannels, { id: target }), options);
  const [current] = rows;
  if (current === undefined) {
    if (expectedVersion !== null && expectedVersion > 0n) return contactNotFound();
    if (displayName !== "") return undefined;
    return invalidField({
      field: "display_name",
      why: "is required to create a contact, and there is none to change",
    });
  }
  const isExpected = expectedVersion === null || current.version === expectedVersion;
  return isExpected ? undefined : staleVersion("contact", current.version);
}

function belongsToAnother(found: {
  readonly index: number;
  readonly owner: string;
  /** The contact that another address of the request means; undefined where the request names it. */
  readonly meant: string | undefined;
}): HandlerError {
  const field = `channels[${found.index}].address`;
  const beside = found.meant === undefined ? "" : `, and an address before it to the contact ${found.meant}`;
  return invalidField({
    reason: "UNIQUE_VIOLATION",
    field,
    why: `belongs to the contact ${found.owner}${beside}: nothing was changed`,
  });
}
