import { type Interruptible, invalidField } from "@tandem/rpc";
import type { RegisteredStatement } from "./registered/registry.ts";
import { decodingValue } from "./values/decode-value.ts";
import { type Bound, encodeScalar, encodingList, ValueRefusedError } from "./values/encode-param.ts";
import { type PgType, TEXT } from "./values/kind.ts";
import type { GivenValue } from "./wire/given.ts";

/** Where a statement stands in its request. */
export interface Place {
  /** What to call it where its parameters are refused: `steps[2].`, or nothing for a query. */
  readonly field: string;
  readonly step: number | undefined;
}

/** A value that an earlier step returned, as PostgreSQL sent it. */
export interface ReturnedValue {
  readonly text: string | null;
  readonly type: PgType;
}

// Values are looked at so many at a go, beside lists, which take slices of their own.
const SLICE_VALUES = 64;

interface Target extends Place {
  readonly registered: RegisteredStatement | undefined;
}

/** Holds a statement's values against the types of its parameters. Fails with a HandlerError that names the value. */
export function* bindingValues(
  values: readonly (GivenValue | ReturnedValue)[],
  types: readonly PgType[],
  { field, step, registered }: Target,
): Interruptible<Bound[]> {
  if (values.length !== types.length) {
    const why = `has ${values.length} values for the ${types.length} parameters of the statement`;
    throw invalidField({ field: `${field}params`, step, why });
  }
  const bound: Bound[] = [];
  for (const [index, source] of values.entries()) {
    const value = "text" in source ? yield* decodingValue(source.text, source.type) : source;
    const type = types[index] ?? TEXT;
    const declared = registered?.params[index];
    if (value.case === undefined && declared?.type.nullable === false) {
      const why = `is NULL, which the parameter "${declared.name}" of ${registered?.name} can't be`;
      throw invalidField({ field: `${field}params[${index}]`, step, why });
    }
    try {
      bound.push(value.case === "listValue" ? yield* encodingList(value, type) : encodeScalar(value, type));
    } catch (error) {
      if (!(error instanceof ValueRefusedError)) throw error;
      throw invalidField({ field: `${field}params[${index}]`, step, why: error.message });
    }
    if (bound.length % SLICE_VALUES === 0) yield;
  }
  return bound;
}
