/** An array as PostgreSQL writes it, taken apart: texts, NULLs and arrays of them. */
export type ArrayParts = readonly (string | null | ArrayParts)[];

/**
 * Takes PostgreSQL's text of an array apart. Gives nothing for one whose lower bounds are not 1, which the
 * text begins with: `[0:1]={…}`.
 * https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
export function parseArrayText(text: string, delimiter: string): ArrayParts | undefined {
  if (!text.startsWith("{")) return undefined;
  const open: (string | null | ArrayParts)[][] = [[]];
  let position = 0;
  while (position < text.length) {
    const character = text[position];
    const current = open.at(-1);
    if (character === "{") {
      open.push([]);
      position += 1;
    } else if (character === "}") {
      open.pop();
      open.at(-1)?.push(current ?? []);
      position += 1;
    } else if (character === delimiter) {
      position += 1;
    } else {
      const element = readElement(text, position, delimiter);
      current?.push(element.value);
      position = element.end;
    }
  }
  const [whole] = open[0] ?? [];
  return Array.isArray(whole) ? whole : [];
}

function readElement(text: string, start: number, delimiter: string): { value: string | null; end: number } {
  if (text[start] !== '"') {
    let end = start;
    while (end < text.length && text[end] !== delimiter && text[end] !== "}") end += 1;
    const bare = text.slice(start, end);
    return { value: bare === "NULL" ? null : bare, end };
  }
  let value = "";
  let position = start + 1;
  while (text[position] !== '"') {
    if (text[position] === "\\") position += 1;
    value += text[position];
    position += 1;
  }
  return { value, end: position + 1 };
}

/** Puts an array's text together. Every element is quoted, so that none can be taken for something else. */
export function toArrayText(parts: ArrayParts, delimiter: string): string {
  const elements = parts.map((part) => {
    if (part === null) return "NULL";
    if (typeof part !== "string") return toArrayText(part, delimiter);
    return `"${part.replaceAll(/["\\]/g, "\\$&")}"`;
  });
  return `{${elements.join(delimiter)}}`;
}
