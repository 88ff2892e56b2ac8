import { createTextCache, type TextCache } from "./text-cache.ts";

/** A column of a result, as PostgreSQL describes it. */
export interface Field {
  readonly name: string;
  readonly dataTypeID: number;
}

/** What PostgreSQL says of a statement: the types of its parameters, and its result's columns. */
export interface Description {
  readonly paramTypes: readonly number[];
  readonly fields: readonly Field[];
}

/** What was said of statements' texts, for every connection to one database. It can be out of date. */
export type Descriptions = TextCache<Description>;

const MAX_CHARACTERS = 8 * 1024 * 1024;
const CHARACTERS_PER_COLUMN = 64;
const CHARACTERS_PER_PARAMETER = 8;

export function createDescriptions(): Descriptions {
  return createTextCache({
    maxCharacters: MAX_CHARACTERS,
    weigh: ({ paramTypes, fields }) =>
      paramTypes.length * CHARACTERS_PER_PARAMETER + fields.length * CHARACTERS_PER_COLUMN,
  });
}

export function sameDescription(one: Description, other: Description): boolean {
  if (one === other) return true;
  return (
    one.paramTypes.length === other.paramTypes.length &&
    one.fields.length === other.fields.length &&
    one.paramTypes.every((type, index) => type === other.paramTypes[index]) &&
    one.fields.every(({ name, dataTypeID }, index) => {
      const field = other.fields[index];
      return field?.name === name && field.dataTypeID === dataTypeID;
    })
  );
}
