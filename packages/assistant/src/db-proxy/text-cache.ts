/** What is known about statements by their texts; bounded: of what it was given or asked for last. */
export interface TextCache<T> {
  get(sql: string): T | undefined;
  set(sql: string, known: T): void;
  delete(sql: string): void;
  clear(): void;
}

interface Entry<T> {
  readonly known: T;
  movedAt: number;
}

// To move an entry with every look leaves V8 old tables of the map behind, one linked to the next, which its garbage
// collector then carries along.
const MOVE_MS = 1_000;

/** Room for so many texts, and for them and what is known about them of so many characters together. */
export function createTextCache<T>(options: {
  readonly maxCharacters: number;
  readonly weigh: (known: T) => number;
  readonly maxTexts?: number;
  /** Told of whatever is left out: by another one in its place, for want of room, or because it was asked for. */
  readonly onDropped?: (known: T) => void;
}): TextCache<T> {
  const { maxCharacters, maxTexts = Infinity, onDropped } = options;
  const entries = new Map<string, Entry<T>>();
  let characters = 0;
  const weightOf = (sql: string, known: T): number => sql.length + options.weigh(known);
  const remove = (sql: string): void => {
    const entry = entries.get(sql);
    if (entry === undefined) return;
    characters -= weightOf(sql, entry.known);
    entries.delete(sql);
    onDropped?.(entry.known);
  };
  const set = (sql: string, known: T): void => {
    remove(sql);
    entries.set(sql, { known, movedAt: Date.now() });
    characters += weightOf(sql, known);
    for (const [oldest] of entries) {
      if (entries.size <= maxTexts && characters <= maxCharacters) break;
      remove(oldest);
    }
  };
  return {
    get: (sql) => {
      const entry = entries.get(sql);
      if (entry === undefined) return undefined;
      const now = Date.now();
      if (now - entry.movedAt >= MOVE_MS) {
        // Asked for last.
        entry.movedAt = now;
        entries.delete(sql);
        entries.set(sql, entry);
      }
      return entry.known;
    },
    set,
    delete: remove,
    clear: () => {
      for (const sql of entries.keys()) remove(sql);
    },
  };
}
