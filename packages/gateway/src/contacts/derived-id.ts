import { createHash, randomUUIDv7 } from "node:crypto";

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
  return (name) => {
    const hash = createHash("sha256")
      .update(JSON.stringify([requestId, caller, name]))
      .digest("hex");
    const variant = (0x8 | (Number.parseInt(hash.slice(3, 4), 16) & 0x3)).toString(16);
    return `${requestId.slice(0, 13)}-7${hash.slice(0, 3)}-${variant}${hash.slice(4, 7)}-${hash.slice(7, 19)}`;
  };
}
