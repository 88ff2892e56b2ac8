import type { DeclaredTypes } from "@tandem/statements";
import type { Reference } from "../statement.ts";
import type { TypedValue } from "../values/typed-value.ts";

/** What a declared statement takes: every parameter, by its name. */
export type ParamsOf<Params extends DeclaredTypes> = {
  readonly [Name in keyof Params]: Taken<Params[Name]> | Reference;
};

/** A row of what a declared statement returns. */
export type DeclaredRow<Result extends DeclaredTypes> = {
  readonly [Name in keyof Result]: Given<Result[Name]>;
};

/** How a declared type is read. */
type Given<Type extends string> = string extends Type
  ? unknown
  : Type extends `${infer Base} | null`
    ? GivenBase<Base> | null
    : GivenBase<Type>;

type GivenBase<Type extends string> = Type extends `${infer Element}[]`
  ? readonly (GivenScalar<Element> | null)[]
  : GivenScalar<Type>;

type GivenScalar<Type extends string> = Type extends keyof Scalars ? Scalars[Type]["given"] : string;

/** How it is written. */
type Taken<Type extends string> = string extends Type
  ? unknown
  : Type extends `${infer Base} | null`
    ? TakenBase<Base> | null
    : TakenBase<Type>;

type TakenBase<Type extends string> = Type extends `${infer Element}[]`
  ? readonly (TakenScalar<Element> | null)[]
  : TakenScalar<Type>;

type TakenScalar<Type extends string> = Type extends keyof Scalars ? Scalars[Type]["taken"] : string;

interface Int {
  given: bigint;
  taken: bigint | number;
}

interface Float {
  given: number;
  taken: number;
}

interface Json {
  given: unknown;
  // Null alone would be SQL's; json(null) is JSON's.
  taken: string | number | boolean | object;
}

/** Types that have a kind of their own; every other is a text. */
interface Scalars {
  bool: { given: boolean; taken: boolean };
  int2: Int;
  int4: Int;
  int8: Int;
  float4: Float;
  float8: Float;
  numeric: { given: string; taken: string | bigint | number | TypedValue };
  bytea: { given: Uint8Array; taken: Uint8Array };
  timestamptz: { given: string; taken: string | Date };
  json: Json;
  jsonb: Json;
}
