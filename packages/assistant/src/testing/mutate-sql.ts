import { createRandom } from "@tandem/testkit/random";

// PostgreSQL's own and those of example-policy.ts, by what they take; also types, and what everybody may call.
const functions = `wipe of_text of_json of_any of_channel of_channels of_channel_or some_channel next_number
  pg_typeof quote_literal record_out current_setting nextval to_regclass pg_sleep setseed regrole regclass xml text
  lower abs row_to_json count`.split(/\s+/);

/**
 * Makes new texts of the given ones: words left out, doubled, swapped, or taken from another text, and functions'
 * names in place of columns'.
 */
export function createSqlMutations(texts: readonly string[], seed: number): () => string {
  const random = createRandom(seed);
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  const all = texts.map(toWords);
  // Words of the language are written in capitals here; what stands for a name or a value is replaced by such.
  const names = all.flat().filter(isName);
  const rename = (words: string[]): void => {
    const at = pick([...words.keys()].filter((index) => isName(words[index] ?? "")));
    if (at !== undefined) words[at] = pick(names) ?? "";
  };
  const call = (words: string[]): void => {
    const at = pick(
      [...words.keys()].filter((index) => words[index - 1] === "." && isName(words[index] ?? "")),
    );
    if (at !== undefined) words[at] = pick(functions) ?? "";
  };
  const query = (words: string[]): void => {
    const at = pick([...words.keys()].filter((index) => isName(words[index] ?? "")));
    if (at !== undefined) words.splice(at, 1, "(", ...(pick(all) ?? []), ")");
  };
  const mutate = (words: string[]): void => {
    const at = Math.floor(random() * words.length);
    const other = pick(all) ?? [];
    const from = Math.floor(random() * other.length);
    const piece = other.slice(from, from + 1 + Math.floor(random() * 6));
    const changes = [
      () => words.splice(at, 1),
      () => words.splice(at, 0, words[at] ?? ""),
      () => words.splice(at, 1, ...piece),
      () => words.splice(at, 0, ...piece),
      // Mostly another name or value: what is no SQL any more says little.
      ...Array.from({ length: 8 }, () => () => rename(words)),
      () => query(words),
      () => query(words),
      () => call(words),
      () => call(words),
    ];
    pick(changes)?.();
  };
  return () => {
    const words = [...(pick(all) ?? [])];
    for (let left = 1 + Math.floor(random() ** 2 * 3); left > 0; left -= 1) mutate(words);
    return words.join(" ");
  };
}

function isName(word: string): boolean {
  return /^[a-z_]+$/.test(word);
}

function toWords(sql: string): readonly string[] {
  return sql.match(/'[^']*'|"[^"]*"|\$?\w+|::|[<>=|~!]+|\S/g) ?? [];
}
