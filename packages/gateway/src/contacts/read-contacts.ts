import { contactsPage, contactWithChannels } from "@tandem/assistant-statements";
import { HandlerError, invalidField } from "@tandem/rpc";
import type { Decider, ReadOptions } from "../authority/decider.ts";
import { step } from "../authority/declared-step.ts";
import { requireAuthority } from "../authority/require-authority.ts";
import { type ContactMessage, type ContactRow, toContacts } from "./contact-messages.ts";
import { contactsLimits } from "./limits.ts";
import { parsePageToken, toPageToken } from "./page-token.ts";
import { contactNotFound } from "./refusals.ts";

/** Which contacts are asked for: so many in the order of their ids, behind one. */
export interface Page {
  readonly after: string;
  readonly size: number;
}

// No contact has it.
const BEFORE_ALL = "00000000-0000-0000-0000-000000000000";
// Of a row beside its texts.
const ROW_BYTES = 200;

/** Fails with INVALID_REQUEST. A larger page than there is comes as large as there is. */
export function parsePage(request: { readonly pageSize: number; readonly pageToken: string }): Page {
  const { pageSize, pageToken } = request;
  if (pageSize < 0) throw invalidField({ field: "page_size", why: "must not be negative" });
  return {
    after: pageToken === "" ? BEFORE_ALL : parsePageToken(pageToken),
    size: Math.min(pageSize === 0 ? contactsLimits.defaultPageSize : pageSize, contactsLimits.maxPageSize),
  };
}

/** Fails with CONTACT_NOT_FOUND. */
export async function readContact(
  decider: Decider,
  id: string,
  options: ReadOptions,
): Promise<ContactMessage> {
  const read = async (): Promise<ContactMessage | undefined> =>
    toContacts(await decider.read(step(contactWithChannels, { id }), options))[0];
  const contact = await read();
  if (contact !== undefined) return contact;
  await requireAuthority(decider, options);
  const there = await read();
  if (there === undefined) throw contactNotFound();
  return there;
}

/** As many contacts as were asked for, or fewer where they would be too large; without a token there are no more. */
export async function readPage(
  decider: Decider,
  { after, size }: Page,
  options: ReadOptions,
): Promise<{ readonly contacts: readonly ContactMessage[]; readonly nextPageToken: string }> {
  for (let count = size; ; count = Math.ceil(count / 2)) {
    try {
      // One more, to see whether there is one.
      const rows = await decider.read(step(contactsPage, { after, count: count + 1 }), options);
      const found = toContacts(rows);
      const contacts = found.slice(0, Math.min(count, howManyFit(rows)));
      const last = contacts.at(-1);
      return {
        contacts,
        nextPageToken: last === undefined || contacts.length === found.length ? "" : toPageToken(last.id),
      };
    } catch (error) {
      const tooLarge = error instanceof HandlerError && error.reason === "RESULT_TOO_LARGE";
      if (!tooLarge || count === 1) throw error;
    }
  }
}

/** At least one. */
function howManyFit(rows: readonly ContactRow[]): number {
  let bytes = 0;
  let contacts = 0;
  let last: string | undefined;
  for (const row of rows) {
    bytes += ROW_BYTES;
    for (const value of Object.values(row)) if (typeof value === "string") bytes += Buffer.byteLength(value);
    if (bytes > contactsLimits.maxPageBytes) return Math.max(1, contacts - (row.id === last ? 1 : 0));
    if (row.id !== last) contacts += 1;
    last = row.id;
  }
  return contacts;
}
