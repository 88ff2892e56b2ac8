import { setImmediate as nextTurn } from "node:timers/promises";

/** Gives what comes in lists: what came while the one before was worked on, up to a number. Nothing waits for more. */
export async function* inBatches<T>(
  items: AsyncIterable<T>,
  max: number,
): AsyncGenerator<readonly T[], void> {
  const iterator = items[Symbol.asyncIterator]();
  let next = iterator.next();
  try {
    for (;;) {
      const first = await next;
      if (first.done === true) return;
      const batch = [first.value];
      next = iterator.next();
      while (batch.length < max) {
        const more = await Promise.race([next, nextTurn("none yet" as const)]);
        if (more === "none yet") break;
        // The end is met when it is waited for.
        if (more.done === true) break;
        batch.push(more.value);
        next = iterator.next();
      }
      yield batch;
    }
  } finally {
    await iterator.return?.();
  }
}
