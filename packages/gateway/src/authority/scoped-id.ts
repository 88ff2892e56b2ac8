import { idFrom } from "@tandem/postgres";

/** The id of a caller's request where others' requests are known by theirs as well: no two callers have the same. */
export function scopedId(caller: string, requestId: string): string {
  return idFrom(requestId, `${caller} ${requestId.toLowerCase()}`);
}
