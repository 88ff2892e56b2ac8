import type { ListInvitesRequest } from "@tandem/contract/tandem/gateway/v1/invites";
import { type Invite, InviteStatus } from "@tandem/contract/tandem/invite/v1/invite";
import { type InviteRow, parseUuid, toInvite, toStatusName } from "@tandem/invites";
import { HandlerError, invalidField } from "@tandem/rpc";
import type { Decider, ReadOptions } from "../authority/decider.ts";
import { step } from "../authority/declared-step.ts";
import { requireAuthority } from "../authority/require-authority.ts";
import { inviteLimits } from "./limits.ts";
import { type PagePlace, parsePageToken, toPageToken } from "./page-token.ts";
import { type GivenInvite, statementsOf, toRow } from "./statements.ts";

/** Which invites are asked for: so many, the newest first, behind one. */
export interface Page {
  readonly contactId: string | null;
  readonly sourceChannel: string | null;
  readonly status: string | null;
  readonly place: PagePlace | undefined;
  readonly size: number;
}

// Of a row beside its texts.
const ROW_BYTES = 300;

/** Fails with INVALID_REQUEST and the field. A larger page than there is comes as large as there is. */
export function parsePage(request: ListInvitesRequest): Page {
  const { defaultPageSize, maxPageSize } = inviteLimits;
  const { pageSize, contactId, sourceChannel, status, pageToken } = request;
  if (pageSize < 0) throw invalidField({ field: "page_size", why: "must not be negative" });
  return {
    contactId: contactId === "" ? null : parseUuid(contactId, "contact_id"),
    sourceChannel: sourceChannel === "" ? null : parseText(sourceChannel, "source_channel"),
    status: parseStatus(status),
    place: parsePageToken(pageToken),
    size: Math.min(pageSize === 0 ? defaultPageSize : pageSize, maxPageSize),
  };
}

/** Fails with INVITE_NOT_FOUND. */
export async function readInvite(decider: Decider, id: string, options: ReadOptions): Promise<InviteRow> {
  const read = async (): Promise<GivenInvite | undefined> =>
    (await decider.read(step(statementsOf(decider.side).byId, { id }), options))[0];
  const row = await read();
  if (row !== undefined) return toRow(row);
  await requireAuthority(decider, options);
  const there = await read();
  if (there !== undefined) return toRow(there);
  throw new HandlerError({ reason: "INVITE_NOT_FOUND", message: `There is no invite ${id}.` });
}

/** As many invites as were asked for, or fewer where they would be too large; without a token there are no more. */
export async function readPage(
  decider: Decider,
  { size, place, contactId, sourceChannel, status }: Page,
  options: ReadOptions,
): Promise<{ invites: Invite[]; nextPageToken: string }> {
  const { page, pageOfContact } = statementsOf(decider.side);
  const { createdAt: beforeTime = null, id: beforeId = null } = place ?? {};
  for (let count = size; ; count = Math.ceil(count / 2)) {
    try {
      // One more, to see whether there is one.
      const values = { sourceChannel, status, beforeTime, beforeId, maxRows: count + 1 };
      const asked = contactId === null ? step(page, values) : step(pageOfContact, { ...values, contactId });
      const rows = await decider.read(asked, options);
      const given = rows.slice(0, Math.min(count, howManyFit(rows)));
      const last = given.length < rows.length ? given.at(-1) : undefined;
      return {
        invites: given.map((row) => toInvite(toRow(row))),
        nextPageToken: last === undefined ? "" : toPageToken({ createdAt: last.created_at, id: last.id }),
      };
    } catch (error) {
      const isTooLarge = error instanceof HandlerError && error.reason === "RESULT_TOO_LARGE";
      if (!isTooLarge || count === 1) throw error;
    }
  }
}

/** At least one. */
function howManyFit(rows: readonly GivenInvite[]): number {
  let bytes = 0;
  for (const [index, row] of rows.entries()) {
    bytes += ROW_BYTES;
    for (const value of Object.values(row)) if (typeof value === "string") bytes += Buffer.byteLength(value);
    if (bytes > inviteLimits.maxPageBytes) return Math.max(1, index);
  }
  return rows.length;
}

function parseText(text: string, field: string): string {
  if (!text.includes("\0")) return text;
  throw invalidField({ field, why: "holds a NUL" });
}

function parseStatus(status: InviteStatus): string | null {
  if (status === InviteStatus.UNSPECIFIED) return null;
  const name = toStatusName(status);
  if (name === undefined) throw invalidField({ field: "status", why: "is none that this server knows" });
  return name;
}
