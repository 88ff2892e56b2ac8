import type { PgType } from "./kind.ts";

const LOSSY: ReadonlySet<string> = new Set([
  "float4",
  "float8",
  "numeric",
  "date",
  "time",
  "timestamp",
  "interval",
  "bpchar",
  "char",
  "name",
  "bit",
  "inet",
]);

/**
 * Whether a value that goes by this type into a column which has become another meanwhile can lose something without
 * an error. A statement keeps the types of its parameters for as long as it is prepared.
 */
export function losesUnsaid({ name, element }: PgType): boolean {
  return element === undefined ? LOSSY.has(name) : losesUnsaid(element);
}
