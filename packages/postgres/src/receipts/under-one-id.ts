import { createHash } from "node:crypto";
import { HandlerError } from "@tandem/rpc";

/** So often an id is found to be settled as not committed before a write is given up. */
const MAX_IDS = 8;

/**
 * Applies a write once for the id that its caller gave it. An id under which it failed once is spent, though its caller
 * may well send the same again: then it goes on under the next of a row of ids that follows from the first one. All
 * sends of it go through the same row, so that the one that was committed is found by each of them.
 */
export async function underOneId<T>(
  requestId: string | undefined,
  write: (requestId: string | undefined) => Promise<T>,
): Promise<T> {
  if (requestId === undefined) return write(undefined);
  for (let number = 0; ; number += 1) {
    try {
      return await write(nthId(requestId, number));
    } catch (error) {
      const isSpent = error instanceof HandlerError && error.reason === "REQUEST_REFUSED";
      if (!isSpent || number + 1 >= MAX_IDS) throw error;
    }
  }
}

/** What a write has come to that goes through such a row: what the first id says that isn't spent. */
export async function stateUnderOneId<State extends string>(
  requestId: string,
  stateOf: (requestId: string) => Promise<State | "refused">,
): Promise<State | "refused"> {
  for (let number = 0; number < MAX_IDS; number += 1) {
    const state = await stateOf(nthId(requestId, number));
    if (state !== "refused") return state;
  }
  return "refused";
}

function nthId(requestId: string, number: number): string {
  return number === 0 ? requestId : idFrom(requestId, `${requestId.toLowerCase()} ${number}`);
}

/** A UUIDv7 that follows from a text, of the time with which another one begins: receipts are kept by it. */
export function idFrom(time: string, text: string): string {
  const hash = createHash("sha256").update(text).digest("hex");
  const variant = (0x8 | (Number.parseInt(hash.slice(3, 4), 16) & 0x3)).toString(16);
  return `${time.slice(0, 13)}-7${hash.slice(0, 3)}-${variant}${hash.slice(4, 7)}-${hash.slice(7, 19)}`;
}
