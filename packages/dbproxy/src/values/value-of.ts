import { type Value, ValueSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";

/** The message of a value, as `create` makes it of a kind that is complete, in a fraction of its time. */
export function valueOf(kind: Value["kind"]): Value {
  return { $typeName: ValueSchema.typeName, kind };
}
