import { Reference, Statement } from "../statement.ts";
import { TypedValue } from "./typed-value.ts";

/**
 * A value for a json or jsonb column, as JSON.stringify writes it; `json(null)` is JSON's null, not SQL's.
 * Written at once: later changes of an object don't count.
 *
 * @throws TypeError where JSON.stringify has no text for it (undefined, a function, a circle), or where it
 * holds a bigint, or a reference to an earlier step
 * @throws RangeError where it holds NaN or an infinity, which JSON.stringify would turn into null
 */
export function json(value: unknown): TypedValue {
  const text = stringify(value);
  if (text === undefined) throw new TypeError(`json() has no JSON for a value of type ${typeof value}.`);
  return new TypedValue({ case: "jsonValue", value: text });
}

// JSON.stringify's own declaration forgets that it can give undefined.
function stringify(value: unknown): string | undefined {
  const mistakes: Error[] = [];
  try {
    return JSON.stringify(value, (_, part: unknown) => {
      const mistake = mistakeOf(part);
      if (mistake === undefined) return part;
      mistakes.push(mistake);
      throw mistake;
    });
  } catch (error) {
    const [mistake = new TypeError("json() can't write this value: it may hold itself.", { cause: error })] =
      mistakes;
    throw mistake;
  }
}

function mistakeOf(part: unknown): Error | undefined {
  if (typeof part === "number" && !Number.isFinite(part)) {
    return new RangeError("json() was given NaN or an infinity, which JSON does not have.");
  }
  if (typeof part === "bigint") {
    return new TypeError("json() was given a bigint: make it a number or a string, JSON has no bigints.");
  }
  if (part instanceof Reference || part instanceof Statement || part instanceof TypedValue) {
    return new TypeError("json() was given a reference, a statement or a typed value: it takes plain data.");
  }
  return undefined;
}
