import type { Param, Step, TransactionRequest, Value } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { Interruptible } from "@tandem/rpc";
import { hash } from "node:crypto";

/**
 * What tells a request from another one under the same request_id: its decoded steps, isolation and key. Not
 * how it was sent: the attempt, the timeouts and who asked may differ between two copies. It is of every write, and to
 * encode the steps once more for it would take as long as to run one of them.
 */
export function* fingerprinting({
  isolation,
  serializationKey,
  steps,
}: TransactionRequest): Interruptible<Uint8Array> {
  const lines = [JSON.stringify([isolation, serializationKey])];
  for (const step of steps) {
    lines.push(headOf(step));
    for (const param of step.params) {
      yield* writing(param, lines);
      yield;
    }
  }
  // JSON has no line break of its own: where a line ends is never in doubt, nor where a step does.
  return hash("sha256", lines.join("\n"), "buffer");
}

function headOf({ statement, params, minChanges, maxChanges }: Step): string {
  return JSON.stringify([
    statement.case,
    statement.value,
    params.length,
    minChanges?.toString(),
    maxChanges?.toString(),
  ]);
}

function* writing({ kind }: Param, lines: string[]): Interruptible<void> {
  if (kind.case === "value") return yield* writingValue(kind.value, lines);
  if (kind.case === undefined) return void lines.push("none");
  const { step, row, column } = kind.value;
  lines.push(`ref ${JSON.stringify([step, row, column])}`);
}

const SLICE_VALUES = 4_096;

function* writingValue({ kind }: Value, lines: string[]): Interruptible<void> {
  switch (kind.case) {
    case undefined:
      return void lines.push("null");
    case "boolValue":
    case "intValue":
    case "numericValue":
    case "textValue":
    case "jsonValue":
      return void lines.push(`${kind.case} ${JSON.stringify(String(kind.value))}`);
    case "doubleValue":
      // As text a negative zero is none.
      return void lines.push(`${kind.case} ${Object.is(kind.value, -0) ? "-0" : kind.value}`);
    case "bytesValue": {
      const { buffer, byteOffset, byteLength } = kind.value;
      return void lines.push(
        `${kind.case} ${Buffer.from(buffer, byteOffset, byteLength).toString("base64")}`,
      );
    }
    case "timestampValue":
      return void lines.push(`${kind.case} ${kind.value.seconds} ${kind.value.nanos}`);
    case "listValue": {
      const { values } = kind.value;
      lines.push(`${kind.case} ${values.length}`);
      for (const value of values) {
        yield* writingValue(value, lines);
        if (lines.length % SLICE_VALUES === 0) yield;
      }
    }
  }
}
