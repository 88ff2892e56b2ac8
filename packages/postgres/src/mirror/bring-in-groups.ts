import { HandlerError, StatusCode, TransportError } from "@tandem/rpc";
import { isOfTheItem } from "./relay.ts";

/**
 * Brings so many at once, and gives for each what came of it, in order. Where the other side takes none of those that are
 * sent at once, it is not asked for the rest: they have failed with what the first of these failed with.
 */
export async function bringInGroups<Item>(
  items: readonly Item[],
  size: number,
  send: (some: readonly Item[]) => Promise<readonly (Error | undefined)[]>,
): Promise<readonly (Error | undefined)[]> {
  const results: (Error | undefined)[] = [];
  for (let from = 0; from < items.length; from += size) {
    const some = await send(items.slice(from, from + size));
    results.push(...some);
    const [first] = some;
    if (some.every((failure) => failure !== undefined && !isOfTheItem(failure))) {
      return items.map((_, at) => (at < results.length ? results[at] : first));
    }
  }
  return results;
}

// The other side takes nothing at all of whoever asks, whatever it is.
const ofTheSide: ReadonlySet<StatusCode> = new Set([
  StatusCode.UNAVAILABLE,
  StatusCode.UNAUTHENTICATED,
  StatusCode.PERMISSION_DENIED,
  StatusCode.UNIMPLEMENTED,
  StatusCode.CANCELLED,
]);

/**
 * Whether what several failed with together may be the doing of one of them, so that the others may well be taken by
 * themselves: a row that is locked, or with which the other side can't cope.
 */
export function mayBeOfOne(failure: unknown): boolean {
  const isOfCall = failure instanceof HandlerError || failure instanceof TransportError;
  const isLoad = failure instanceof HandlerError && failure.reason === "OVERLOADED";
  return isOfCall && !isLoad && !ofTheSide.has(failure.code);
}
