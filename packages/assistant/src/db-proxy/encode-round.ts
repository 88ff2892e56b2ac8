import type { Interruptible } from "@tandem/rpc";
import { serialize } from "pg-protocol";
import type { FrameWriter } from "./frame-writer.ts";
import type { Outgoing } from "./round.ts";

/**
 * A round as it goes over the wire, in one piece: each write of a socket costs as much as a small statement. `tail` is
 * what comes behind the statements as it is.
 */
export function* encodingRound(
  statements: readonly Outgoing[],
  { closing, tail }: { readonly closing: readonly string[]; readonly tail: Buffer | undefined },
  writer: FrameWriter,
): Interruptible<Buffer> {
  for (const name of closing) writer.add(serialize.close({ type: "S", name }));
  for (const { text, name, parse, describe, execute, running } of statements) {
    if (parse) writer.add(serialize.parse({ name, text }));
    if (describe) writer.add(serialize.describe({ type: "S", name }));
    if (running !== undefined) writer.add(running);
    else if (execute !== undefined) writer.run(name, execute.values, execute.maxRows);
    yield;
  }
  if (tail !== undefined) writer.add(tail);
  writer.add(serialize.sync());
  return writer.take();
}
