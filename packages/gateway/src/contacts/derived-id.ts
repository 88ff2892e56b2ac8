import { randomUUIDv7 } from "node:crypto";
import { idFrom } from "@tandem/postgres";

/** Gives the ids of what a request makes, each by a name of its own within the request. */
export type NewIds = (name: string) => string;

/**
 * UUIDs of version 7. With a request_id they follow from it, so that a copy of the request asks for the very same
 * thing, and would make nothing a second time where its receipt is not found.
 */
export function newIds({
  caller,
  requestId,
}: {
  readonly caller: string;
  readonly requestId: string | undefined;
}): NewIds {
  if (requestId === undefined) return () => randomUUIDv7();
  return (name) => idFrom(requestId, JSON.stringify([requestId, caller, name]));
}
