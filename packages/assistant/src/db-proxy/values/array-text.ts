import type { Interruptible } from "@tandem/rpc";

/** An array as PostgreSQL writes it, taken apart: texts, NULLs and arrays of them. */
export type ArrayParts = readonly (string | null | ArrayParts)[];

// So many characters are read or written at one go: a millisecond's work, at worst.
const SLICE_CHARACTERS = 16 * 1024;
const QUOTE = '"'.charCodeAt(0);
const BACKSLASH = "\\".charCodeAt(0);

/**
 * Takes PostgreSQL's text of an array apart. Gives nothing for one whose lower bounds are not 1, which the
 * text begins with: `[0:1]={…}`.
 * https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
export function* parsingArrayText(text: string, delimiter: string): Interruptible<ArrayParts | undefined> {
  if (!text.startsWith("{")) return undefined;
  const open: (string | null | ArrayParts)[][] = [[]];
  let position = 0;
  let sliceEnd = SLICE_CHARACTERS;
  while (position < text.length) {
    if (position > sliceEnd) {
      yield;
      sliceEnd = position + SLICE_CHARACTERS;
    }
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
    } else if (character === '"') {
      const { end, escaped } = endOfQuoted(text, position + 1);
      current?.push(escaped ? yield* unescaping(text, position + 1, end) : text.slice(position + 1, end));
      position = end + 1;
    } else {
      const start = position;
      while (position < text.length && text[position] !== delimiter && text[position] !== "}") position += 1;
      const bare = text.slice(start, position);
      current?.push(bare === "NULL" ? null : bare);
    }
  }
  const [whole] = open[0] ?? [];
  return Array.isArray(whole) ? whole : [];
}

function endOfQuoted(text: string, start: number): { readonly end: number; readonly escaped: boolean } {
  let escaped = false;
  let end = start;
  for (; end < text.length && text.charCodeAt(end) !== QUOTE; end += 1) {
    if (text.charCodeAt(end) !== BACKSLASH) continue;
    escaped = true;
    end += 1;
  }
  return { end, escaped };
}

function* unescaping(text: string, start: number, end: number): Interruptible<string> {
  let value = "";
  let sliceEnd = start + SLICE_CHARACTERS;
  for (let position = start; position < end; position += 1) {
    if (text.charCodeAt(position) === BACKSLASH) position += 1;
    value += text[position];
    if (position < sliceEnd) continue;
    yield;
    sliceEnd = position + SLICE_CHARACTERS;
  }
  return value;
}

/** Puts an array's text together. Every element is quoted, so that none can be taken for something else. */
export function* writingArrayText(parts: ArrayParts, delimiter: string): Interruptible<string> {
  const chunks: string[] = [];
  let batch: string[] = [];
  let characters = 0;
  for (const part of parts) {
    const isElement = part === null || typeof part === "string";
    const element = isElement ? yield* quoting(part) : yield* writingArrayText(part, delimiter);
    batch.push(element);
    // An empty element is work as well.
    characters += 8 + element.length;
    if (characters < SLICE_CHARACTERS) continue;
    chunks.push(batch.join(delimiter));
    batch = [];
    characters = 0;
    yield;
  }
  if (batch.length > 0) chunks.push(batch.join(delimiter));
  return `{${chunks.join(delimiter)}}`;
}

function* quoting(text: string | null): Interruptible<string> {
  if (text === null) return "NULL";
  let quoted = '"';
  for (let start = 0; start < text.length; start += SLICE_CHARACTERS) {
    if (start > 0) yield;
    quoted += text.slice(start, start + SLICE_CHARACTERS).replaceAll(/["\\]/g, "\\$&");
  }
  return `${quoted}"`;
}
