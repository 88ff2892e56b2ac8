import type { Interruptible } from "@tandem/rpc";
import { serialize } from "pg-protocol";
import type { Outgoing } from "./round.ts";
import type { Bound } from "./values/encode-param.ts";

/**
 * A round as it goes over the wire, in one piece: each write of a socket costs as much as a small statement. `tail` is
 * what comes behind the statements as it is.
 */
export function* encodingRound(
  statements: readonly Outgoing[],
  { closing, tail }: { readonly closing: readonly string[]; readonly tail: Buffer | undefined },
): Interruptible<Buffer> {
  const messages = closing.map((name) => serialize.close({ type: "S", name }));
  for (const { name, parse, describe, execute, running } of statements) {
    if (parse !== undefined) messages.push(serialize.parse({ name, text: parse }));
    if (describe === true) messages.push(serialize.describe({ type: "S", name }));
    if (running !== undefined) messages.push(running);
    if (execute !== undefined) {
      // Only given on, not kept or changed.
      messages.push(serialize.bind({ statement: name, values: execute.values as Bound[] }));
      messages.push(serialize.execute(execute.maxRows === undefined ? {} : { rows: execute.maxRows }));
    }
    yield;
  }
  if (tail !== undefined) messages.push(tail);
  messages.push(serialize.sync());
  return Buffer.concat(messages);
}
