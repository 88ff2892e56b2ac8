/** A TransactionRequest as it came over the wire, without a message around each of its parts. */
export interface GivenTransaction {
  /** Empty where it has none. */
  readonly requestId: string;
  readonly attempt: number;
  readonly steps: readonly GivenStep[];
  /** Also a number that is none of the contract's. */
  readonly isolation: number;
  readonly statementTimeout: GivenTime | undefined;
  readonly transactionTimeout: GivenTime | undefined;
  readonly validateOnly: boolean;
  readonly meta: GivenMeta | undefined;
  readonly serializationKey: string;
  readonly expireTime: GivenTime | undefined;
}

/** A QueryRequest. */
export interface GivenQuery {
  readonly statement: GivenStatement;
  readonly params: readonly GivenValue[];
  readonly statementTimeout: GivenTime | undefined;
  readonly atLeastAsFresh: string;
  readonly primary: boolean;
}

export interface GivenStep {
  readonly statement: GivenStatement;
  readonly params: readonly GivenParam[];
  readonly minChanges: bigint | undefined;
  readonly maxChanges: bigint | undefined;
}

export type GivenStatement =
  | { readonly case: "sql" | "name"; readonly value: string }
  | { readonly case: undefined; readonly value?: undefined };

/** A value, a reference, or neither of them, which isn't allowed; what is NULL is a value. */
export type GivenParam = GivenValue | GivenReference | { readonly case: "none"; readonly value?: undefined };

export interface GivenReference {
  readonly case: "ref";
  readonly value: Reference;
}

/** A value that an earlier step returned. */
export interface Reference {
  readonly step: number;
  readonly row: number;
  readonly column: string;
}

/** A Value: its kind, by the contract's names, and what it holds. Without a kind it is NULL. */
export type GivenValue =
  | { readonly case: undefined; readonly value?: undefined }
  | { readonly case: "boolValue"; readonly value: boolean }
  | { readonly case: "intValue"; readonly value: bigint }
  | { readonly case: "doubleValue"; readonly value: number }
  | { readonly case: "textValue" | "numericValue" | "jsonValue"; readonly value: string }
  | { readonly case: "bytesValue"; readonly value: Uint8Array }
  | { readonly case: "timestampValue"; readonly value: GivenTime }
  | { readonly case: "listValue"; readonly value: readonly GivenValue[] };

/** A Timestamp or a Duration. */
export interface GivenTime {
  readonly seconds: bigint;
  readonly nanos: number;
}

export interface GivenMeta {
  readonly sourceInstanceId: string;
  readonly requestedAt: GivenTime | undefined;
}

/** Of a Timestamp. It is an invalid one where no Date can be so far from 1970. */
export function toDate({ seconds, nanos }: GivenTime): Date {
  return new Date(Number(seconds) * 1_000 + Math.round(nanos / 1_000_000));
}

/** What is being read. */
export type Draft<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };
