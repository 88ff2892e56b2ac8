import type { BinaryWriter } from "@bufbuild/protobuf/wire";

/**
 * Writes a text, which an empty one is no less: where that means none, it isn't to be written.
 *
 * @throws TypeError for what is no text of whole characters
 */
export function writeText(writer: BinaryWriter, tag: number, text: string): void {
  // Callers in plain JavaScript can pass what the types exclude, and half a character would become another one.
  if (typeof text !== "string" || !text.isWellFormed()) throw new TypeError("a text in it is none");
  writer.uint32(tag).string(text);
}
