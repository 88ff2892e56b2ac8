/** What can stand in a roster, in one at a time. */
export interface Rostered {
  /** Where it stands: its roster's alone. */
  place?: number;
}

/**
 * Those that are under way, in no order. A Set that is added to and deleted from all the time is made anew every few
 * dozen times, and each of its former tables refers to the next: one that V8 has promoted keeps all that came and went
 * since from the collector of what is young. Here each knows its place in one array.
 */
export class Roster<T extends Rostered> {
  readonly #all: T[] = [];

  get size(): number {
    return this.#all.length;
  }

  add(entry: T): void {
    entry.place = this.#all.push(entry) - 1;
  }

  /** Whether it stood here. */
  delete(entry: T): boolean {
    const { place } = entry;
    if (place === undefined || this.#all[place] !== entry) return false;
    const last = this.#all.pop();
    if (last !== undefined && last !== entry) {
      this.#all[place] = last;
      last.place = place;
    }
    return true;
  }

  /** Those that stand here now: who is told may add and delete. */
  all(): T[] {
    return this.#all.slice();
  }
}
