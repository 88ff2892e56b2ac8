import { isUuid } from "@tandem/invites";
import { invalidField } from "@tandem/rpc";

/** Behind which invite a page begins. */
export interface PagePlace {
  /** In PostgreSQL's form, or DbProxy's, to the microsecond. */
  readonly createdAt: string;
  readonly id: string;
}

const PLACE = /^(\d{4}-\d\d-\d\d[ T][\d:.]+(?:\+00(?::00)?|Z)) ([0-9a-f-]{36})$/;

/** The place as callers get it, who need not know what it says. */
export function toPageToken({ createdAt, id }: PagePlace): string {
  return Buffer.from(`${createdAt} ${id}`).toString("base64url");
}

/** Undefined for the first page. Fails with INVALID_REQUEST where it is no token of ours. */
export function parsePageToken(token: string): PagePlace | undefined {
  if (token === "") return undefined;
  const [, createdAt, id] = PLACE.exec(Buffer.from(token, "base64url").toString()) ?? [];
  const isPlace = createdAt !== undefined && id !== undefined && isUuid(id) && isTime(createdAt);
  if (isPlace) return { createdAt, id };
  throw invalidField({
    field: "page_token",
    why: "is none that this method gave: leave it out for the first page",
  });
}

function isTime(text: string): boolean {
  return !Number.isNaN(Date.parse(text.replace(" ", "T").replace(/\+00$/, "Z")));
}
