/** Something that ends at a moment, in milliseconds since 1970. */
export interface Ending {
  readonly deadline: number;
  /** Where it stands among the others: theirs alone who keep it. */
  place?: number;
}

/** Many deadlines with one timer, which keeps the process alive while there is one to wait for. */
export interface Deadlines<T extends Ending> {
  readonly size: number;
  add(ending: T): void;
  delete(ending: T): void;
}

/** `onPassed` is called of each whose deadline passes, which is then no more among them. */
export function createDeadlines<T extends Ending>(onPassed: (ending: T) => void): Deadlines<T> {
  // In no order. Each knows its place, so that it needn't be found: a Set that is added to and deleted from all the time
  // leaves behind it tables that keep each other, and all that was in them, from the collector of what is young.
  const open: T[] = [];
  let timer: NodeJS.Timeout | undefined;
  let rings = Infinity;
  const set = (at: number): void => {
    clearTimeout(timer);
    rings = at;
    timer = setTimeout(ring, Math.min(Math.max(1, at - Date.now()), MAX_TIMER_MS));
  };
  const remove = (ending: T): boolean => {
    const { place } = ending;
    if (place === undefined || open[place] !== ending) return false;
    const last = open.pop();
    if (last !== undefined && last !== ending) {
      open[place] = last;
      last.place = place;
    }
    return true;
  };
  // It isn't set back when the earliest is through before its time, as nearly all are: it rings for nobody then.
  const ring = (): void => {
    timer = undefined;
    rings = Infinity;
    const now = Date.now();
    let earliest = Infinity;
    const passed: T[] = [];
    for (const ending of open) {
      if (ending.deadline > now) earliest = Math.min(earliest, ending.deadline);
      else passed.push(ending);
    }
    // What those who are told take away is not told of.
    for (const ending of passed) if (remove(ending)) onPassed(ending);
    // What was added by those who were told has set it already.
    if (earliest < rings) set(earliest);
  };
  return {
    get size() {
      return open.length;
    },
    add: (ending) => {
      if (ending.deadline < rings) set(ending.deadline);
      else if (open.length === 0) timer?.ref();
      ending.place = open.push(ending) - 1;
    },
    delete: (ending) => {
      if (remove(ending) && open.length === 0) timer?.unref();
    },
  };
}

const MAX_TIMER_MS = 2 ** 31 - 1;
