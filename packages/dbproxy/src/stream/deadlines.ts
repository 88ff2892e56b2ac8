import { Roster, type Rostered } from "@tandem/rpc";

/** Something that ends at a moment, in milliseconds since 1970. */
export interface Ending extends Rostered {
  readonly deadline: number;
}

/** Many deadlines with one timer, which keeps the process alive while there is one to wait for. */
export interface Deadlines<T extends Ending> {
  readonly size: number;
  add(ending: T): void;
  delete(ending: T): void;
}

/** `onPassed` is called of each whose deadline passes, which is then no more among them. */
export function createDeadlines<T extends Ending>(onPassed: (ending: T) => void): Deadlines<T> {
  const open = new Roster<T>();
  let timer: NodeJS.Timeout | undefined;
  let rings = Infinity;
  const set = (at: number): void => {
    clearTimeout(timer);
    rings = at;
    timer = setTimeout(ring, Math.min(Math.max(1, at - Date.now()), MAX_TIMER_MS));
  };
  // It isn't set back when the earliest is through before its time, as nearly all are: it rings for nobody then.
  const ring = (): void => {
    timer = undefined;
    rings = Infinity;
    const now = Date.now();
    let earliest = Infinity;
    for (const ending of open.all()) {
      if (ending.deadline > now) earliest = Math.min(earliest, ending.deadline);
      // What those who are told take away is not told of.
      else if (open.delete(ending)) onPassed(ending);
    }
    // What was added by those who were told has set it already.
    if (earliest < rings) set(earliest);
  };
  return {
    get size() {
      return open.size;
    },
    add: (ending) => {
      if (ending.deadline < rings) set(ending.deadline);
      else if (open.size === 0) timer?.ref();
      open.add(ending);
    },
    delete: (ending) => {
      if (open.delete(ending) && open.size === 0) timer?.unref();
    },
  };
}

const MAX_TIMER_MS = 2 ** 31 - 1;
