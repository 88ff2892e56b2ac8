/** What is known about statements by their texts; bounded: of what it was given or asked for last. */
export interface TextCache<T> {
  get(sql: string): T | undefined;
  set(sql: string, known: T): void;
  delete(sql: string): void;
}

/** Room for texts and what is known about them of so many characters together. */
export function createTextCache<T>(options: {
  readonly maxCharacters: number;
  readonly weigh: (known: T) => number;
}): TextCache<T> {
  const entries = new Map<string, T>();
  let characters = 0;
  const weightOf = (sql: string, known: T): number => sql.length + options.weigh(known);
  const remove = (sql: string): T | undefined => {
    const known = entries.get(sql);
    if (known === undefined) return undefined;
    characters -= weightOf(sql, known);
    entries.delete(sql);
    return known;
  };
  const set = (sql: string, known: T): void => {
    remove(sql);
    entries.set(sql, known);
    characters += weightOf(sql, known);
    for (const [oldest] of entries) {
      if (characters <= options.maxCharacters) break;
      remove(oldest);
    }
  };
  return {
    get: (sql) => {
      const known = entries.get(sql);
      if (known === undefined) return undefined;
      // Asked for last.
      entries.delete(sql);
      entries.set(sql, known);
      return known;
    },
    set,
    delete: (sql) => void remove(sql),
  };
}
