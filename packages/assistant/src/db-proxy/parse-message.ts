import { EventEmitter } from "node:events";
import { type DatabaseError, parse } from "pg-protocol";
import type { Field } from "./description.ts";

/** Messages that are rare, or of many parts. */
export type ParsedMessage =
  | (DatabaseError & { readonly name: "error" })
  | { readonly name: "rowDescription"; readonly fields: readonly Field[] }
  | { readonly name: "parameterDescription"; readonly dataTypeIDs: readonly number[] };

const HEADER_BYTES = 5;

/** Reads one of them, whose content stands there, by the parser of `pg`. */
export function parseMessage(bytes: Buffer, start: number, end: number): ParsedMessage {
  const messages: unknown[] = [];
  // It asks no more of a stream.
  const stream = new EventEmitter() as NodeJS.ReadableStream;
  void parse(stream, (message) => messages.push(message));
  stream.emit("data", bytes.subarray(start - HEADER_BYTES, end));
  return messages[0] as ParsedMessage;
}
