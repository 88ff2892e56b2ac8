import type { Interruptible } from "@tandem/rpc";
import { serialize } from "pg-protocol";
import type { Outgoing } from "./round.ts";

/** A round as it goes over the wire, in one piece: each write of a socket costs as much as a small statement. */
export function* encodingRound(
  statements: readonly Outgoing[],
  closing: readonly string[],
): Interruptible<Buffer> {
  const messages = closing.map((name) => serialize.close({ type: "S", name }));
  for (const { name, parse, describe, execute } of statements) {
    if (parse !== undefined) messages.push(serialize.parse({ name, text: parse }));
    if (describe === true) messages.push(serialize.describe({ type: "S", name }));
    if (execute !== undefined) {
      messages.push(serialize.bind({ statement: name, values: [...execute.values] }));
      messages.push(serialize.execute(execute.maxRows === undefined ? {} : { rows: execute.maxRows }));
    }
    yield;
  }
  messages.push(serialize.sync());
  return Buffer.concat(messages);
}
