import type { Value } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { MalformedAnswerError } from "../malformed-answer-error.ts";
import { toIsoText } from "./timestamps.ts";

/** A value as JavaScript has it, by the kind that it travelled as; the package's README has the table. */
export function fromValue({ kind, $unknown }: Value): unknown {
  switch (kind.case) {
    case undefined:
      // Without this a kind that only a newer server knows would read as NULL.
      if ($unknown === undefined || $unknown.length === 0) return null;
      throw new MalformedAnswerError("the answer has a kind of value that this client doesn't know");
    case "jsonValue":
      return parseJson(kind.value);
    case "timestampValue":
      return toIsoText(kind.value);
    case "listValue":
      return kind.value.values.map(fromValue);
    case "bytesValue":
      // What was decoded is a Buffer, and a view that keeps the whole answer in memory.
      return new Uint8Array(kind.value);
    case "boolValue":
    case "intValue":
    case "doubleValue":
    case "textValue":
    case "numericValue":
      return kind.value;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // JSON.parse quotes the text in its message: no value belongs into an error.
    throw new MalformedAnswerError("the answer has JSON that can't be parsed");
  }
}
