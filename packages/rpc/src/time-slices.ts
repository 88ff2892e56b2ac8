/** Work that can be left and taken up again: it yields wherever others may come first. */
export type Interruptible<T> = Generator<undefined, T, undefined>;

/** Shares the event loop between everybody's large work and what is small and urgent. */
export interface TimeSlices {
  /**
   * Runs work to its end. What is short runs through at once; what is long gives the loop back again and
   * again, and all of it together takes no more than one slice in each of the loop's turns. Fails as the
   * work does.
   */
  run<T>(work: Interruptible<T>): Promise<T>;
}

const SLICE_MS = 5;

export function createTimeSlices(): TimeSlices {
  // Those who wait take turns: one is woken in each turn of the loop.
  const waiting: (() => void)[] = [];
  let turnEnds: number | undefined;
  const endTurn = (): void => {
    turnEnds = undefined;
    waiting.shift()?.();
  };
  const beginTurn = (): number => {
    setImmediate(endTurn);
    return performance.now() + SLICE_MS;
  };
  return {
    run: async (work) => {
      for (;;) {
        const ends = (turnEnds ??= beginTurn());
        let next = work.next();
        while (next.done !== true && performance.now() < ends) next = work.next();
        if (next.done === true) return next.value;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
  };
}
