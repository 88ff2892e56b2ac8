import type { Value } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { Interruptible } from "@tandem/rpc";
import type { RegisteredStatement } from "./registered/registry.ts";
import { invalid } from "./transaction-request.ts";
import { type Bound, encodingParam, ValueRefusedError } from "./values/encode-param.ts";
import { type PgType, TEXT } from "./values/kind.ts";

/** Where a statement stands in its request. */
export interface Place {
  /** What to call it where its parameters are refused: `steps[2].`, or nothing for a query. */
  readonly field: string;
  readonly step: number | undefined;
}

interface Target extends Place {
  readonly registered: RegisteredStatement | undefined;
}

/** Holds a statement's values against the types of its parameters. Fails with a HandlerError that names the value. */
export function* bindingValues(
  values: readonly Value[],
  types: readonly PgType[],
  { field, step, registered }: Target,
): Interruptible<Bound[]> {
  if (values.length !== types.length) {
    const why = `has ${values.length} values for the ${types.length} parameters of the statement`;
    throw invalid({ field: `${field}params`, step, why });
  }
  const bound: Bound[] = [];
  for (const [index, value] of values.entries()) {
    const declared = registered?.params[index];
    if (value.kind.case === undefined && declared?.type.nullable === false) {
      const why = `is NULL, which the parameter "${declared.name}" of ${registered?.name} can't be`;
      throw invalid({ field: `${field}params[${index}]`, step, why });
    }
    try {
      bound.push(yield* encodingParam(value, types[index] ?? TEXT));
    } catch (error) {
      if (!(error instanceof ValueRefusedError)) throw error;
      throw invalid({ field: `${field}params[${index}]`, step, why: error.message });
    }
    yield;
  }
  return bound;
}
