import type { Interruptible } from "@tandem/rpc";
import { hash } from "node:crypto";
import type { GivenParam, GivenStep, GivenTransaction, GivenValue } from "./wire/given.ts";

/**
 * What tells a request from another one under the same request_id: its steps, isolation and key. Not
 * how it was sent: the attempt, the timeouts and who asked may differ between two copies. It is of every write, and to
 * encode the steps once more for it would take as long as to run one of them.
 */
export function* fingerprinting({
  isolation,
  serializationKey,
  steps,
}: Pick<GivenTransaction, "isolation" | "serializationKey" | "steps">): Interruptible<Uint8Array> {
  const lines = [JSON.stringify([isolation, serializationKey])];
  let sliceEnd = SLICE_LINES;
  const isSliceOver = (): boolean => {
    if (lines.length < sliceEnd) return false;
    sliceEnd = lines.length + SLICE_LINES;
    return true;
  };
  for (const step of steps) {
    lines.push(headOf(step));
    // Nobody has counted the steps by now.
    if (isSliceOver()) yield;
    for (const param of step.params) {
      if (param.case === "listValue") yield* writingList(param.value, lines);
      else lines.push(lineOf(param));
      if (isSliceOver()) yield;
    }
  }
  // JSON has no line break of its own: where a line ends is never in doubt, nor where a step does.
  return hash("sha256", lines.join("\n"), "buffer");
}

// So many short values are written at one go.
const SLICE_LINES = 1_024;

function headOf({ statement, params, minChanges, maxChanges }: GivenStep): string {
  const source =
    statement.case === undefined ? "null,null" : `"${statement.case}",${JSON.stringify(statement.value)}`;
  return `[${source},${params.length},${toJson(minChanges)},${toJson(maxChanges)}]`;
}

const toJson = (count: bigint | undefined): string => (count === undefined ? "null" : `"${count}"`);

function lineOf(param: Exclude<GivenParam, { case: "listValue" }>): string {
  switch (param.case) {
    case undefined:
      return "null";
    case "none":
      return "none";
    case "ref": {
      const { step, row, column } = param.value;
      return `ref ${JSON.stringify([step, row, column])}`;
    }
    case "boolValue":
    case "intValue":
      return `${param.case} "${param.value}"`;
    case "numericValue":
    case "textValue":
    case "jsonValue":
      return `${param.case} ${JSON.stringify(param.value)}`;
    case "doubleValue":
      // As text a negative zero is none.
      return `${param.case} ${Object.is(param.value, -0) ? "-0" : param.value}`;
    case "bytesValue": {
      const { buffer, byteOffset, byteLength } = param.value;
      return `${param.case} ${Buffer.from(buffer, byteOffset, byteLength).toString("base64")}`;
    }
    case "timestampValue":
      return `${param.case} ${param.value.seconds} ${param.value.nanos}`;
  }
}

function* writingList(values: readonly GivenValue[], lines: string[]): Interruptible<void> {
  lines.push(`listValue ${values.length}`);
  for (const value of values) {
    if (value.case === "listValue") yield* writingList(value.value, lines);
    else lines.push(lineOf(value));
    if (lines.length % SLICE_LINES === 0) yield;
  }
}
