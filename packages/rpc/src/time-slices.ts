/** Work that can be left and taken up again: it yields wherever others may come first. */
export type Interruptible<T> = Generator<undefined, T, undefined>;

/** Shares the event loop between everybody's large work and what is small and urgent. */
export interface TimeSlices {
  /**
   * Runs work to its end. What is short runs through at once; what is long gives the loop back again and
   * again, and all of it together takes no more than one slice in each of the loop's turns. Fails as the
   * work does: at once where it ran through at once.
   */
  run<T>(work: Interruptible<T>): T | Promise<T>;
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
  /** Runs work until it is done or the slice of this turn is over. */
  const runSlice = <T>(work: Interruptible<T>): IteratorResult<undefined, T> => {
    const ends = (turnEnds ??= beginTurn());
    let next = work.next();
    while (next.done !== true && performance.now() < ends) next = work.next();
    return next;
  };
  const goOn = async <T>(work: Interruptible<T>): Promise<T> => {
    for (;;) {
      await new Promise<void>((resolve) => waiting.push(resolve));
      const next = runSlice(work);
      if (next.done === true) return next.value;
    }
  };
  return {
    run: (work) => {
      // What is through at the first go has nothing to share, and the loop isn't to turn for it once more.
      const first = work.next();
      if (first.done === true) return first.value;
      const next = runSlice(work);
      return next.done === true ? next.value : goOn(work);
    },
  };
}
