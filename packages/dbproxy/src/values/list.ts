import { create } from "@bufbuild/protobuf";
import { type Value, ValueListSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { valueOf } from "./value-of.ts";

const MAX_DIMENSIONS = 6;

/**
 * An array for the wire, `toItem` for what is in it. PostgreSQL's arrays are rectangular: at one depth
 * everything is an array of one length, or nothing is an array.
 *
 * @throws TypeError where it isn't rectangular, or has an empty array inside
 * @throws RangeError where it is deeper than PostgreSQL's arrays can be
 */
export function fromList(
  items: readonly unknown[],
  subject: string,
  toItem: (item: unknown) => Value,
): Value["kind"] {
  const lengths = lengthsByDepth(items, subject);
  const toList = (list: readonly unknown[], depth: number): Value["kind"] => {
    if (list.length !== lengths[depth]) throw ragged(subject);
    const values = Array.from(list, (item) => {
      if (isList(item) !== depth + 1 < lengths.length) throw ragged(subject);
      return isList(item) ? valueOf(toList(item, depth + 1)) : toItem(item);
    });
    return { case: "listValue", value: create(ValueListSchema, { values }) };
  };
  return toList(items, 0);
}

/** Array.isArray without its `any`. */
export function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

function lengthsByDepth(items: readonly unknown[], subject: string): readonly number[] {
  const lengths: number[] = [];
  for (let level: unknown = items; isList(level); level = level[0]) {
    if (lengths.length === MAX_DIMENSIONS) {
      throw new RangeError(`${subject} has more than ${MAX_DIMENSIONS} dimensions, PostgreSQL's limit.`);
    }
    if (lengths.length > 0 && level.length === 0) {
      throw new TypeError(`${subject} has an empty array inside an array, which PostgreSQL does not have.`);
    }
    lengths.push(level.length);
  }
  return lengths;
}

function ragged(subject: string): TypeError {
  return new TypeError(`${subject} is not rectangular: the arrays inside it differ in length or depth.`);
}
