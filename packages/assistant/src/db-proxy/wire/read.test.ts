import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  type Param,
  QueryRequestSchema,
  type Step,
  TransactionRequestSchema,
  type Value,
  ValueSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { Interruptible } from "@tandem/rpc";
import * as fc from "fast-check";
import { isDeepStrictEqual } from "node:util";
import { describe, expect, it } from "vitest";
import { partsOf } from "../../testing/interruptible.ts";
import { bytesOf, isAmiss, mutated } from "../../testing/wire-bytes.ts";
import type { GivenParam, GivenQuery, GivenStep, GivenTime, GivenTransaction, GivenValue } from "./given.ts";
import { readingQuery } from "./read-query.ts";
import { readingTransaction } from "./read-transaction.ts";

interface Kind<D extends DescMessage, Given> {
  readonly schema: D;
  readonly reading: (bytes: Uint8Array) => Interruptible<Given>;
  /** What is to be read, of what protobuf-es makes of the same bytes. */
  readonly toGiven: (message: MessageShape<D>) => Given;
}

const transaction: Kind<typeof TransactionRequestSchema, GivenTransaction> = {
  schema: TransactionRequestSchema,
  reading: readingTransaction,
  toGiven: ({ meta, ...request }) => ({
    requestId: request.requestId,
    attempt: request.attempt,
    steps: request.steps.map(toStep),
    isolation: request.isolation,
    statementTimeout: toTime(request.statementTimeout),
    transactionTimeout: toTime(request.transactionTimeout),
    validateOnly: request.validateOnly,
    meta: meta && { sourceInstanceId: meta.sourceInstanceId, requestedAt: toTime(meta.requestedAt) },
    serializationKey: request.serializationKey,
    expireTime: toTime(request.expireTime),
  }),
};

const query: Kind<typeof QueryRequestSchema, GivenQuery> = {
  schema: QueryRequestSchema,
  reading: readingQuery,
  toGiven: (request) => ({
    statement: toStatement(request.statement),
    params: request.params.map(toValue),
    statementTimeout: toTime(request.statementTimeout),
    atLeastAsFresh: request.atLeastAsFresh,
    primary: request.primary,
  }),
};

describe.each([transaction, query] as unknown as Kind<DescMessage, unknown>[])("a $schema.name", (kind) => {
  it("is read as protobuf-es does, whatever is in it, in whichever order and however often", () => {
    const property = fc.property(bytesOf(kind.schema), (bytes) => {
      expectSame(kind, bytes);
      expect(verdictOf(kind, bytes).refused).toBe(false);
    });
    fc.assert(property, { numRuns: 500 });
  });

  it("is refused where protobuf-es does, and where a field isn't encoded as what it is", () => {
    let refused = 0;
    const property = fc.property(mutated(bytesOf(kind.schema)), (bytes) => {
      expectSame(kind, bytes);
      if (verdictOf(kind, bytes).refused) refused += 1;
    });
    fc.assert(property, { numRuns: 2_000 });
    expect(refused).toBeGreaterThan(400);
  });
});

describe("a large request", () => {
  const texts = (length: number, text = ""): Value[] =>
    Array.from({ length }, (_, at) => toMessage({ case: "textValue", value: `${text}${at}` }));
  const list = (values: Value[]): Value =>
    toMessage({ case: "listValue", value: { $typeName: "tandem.assistant.v1.ValueList", values } });
  const stepWith = (...values: Value[]) => ({
    statement: { case: "sql" as const, value: "SELECT 1" },
    params: values.map((value) => ({ kind: { case: "value" as const, value } })),
  });

  it.each<[string, MessageInitShape<typeof TransactionRequestSchema>]>([
    ["of many steps", { steps: Array.from({ length: 5_000 }, () => stepWith(...texts(1))) }],
    ["of a step with many values", { steps: [stepWith(...texts(9_000)), stepWith(...texts(1))] }],
    ["of a long list among small ones", { steps: [stepWith(...texts(3), list(texts(20_000)), ...texts(3))] }],
    [
      "of empty values",
      { steps: [stepWith(list(Array.from({ length: 30_000 }, () => toMessage({ case: undefined }))))] },
    ],
    ["of long lists in long lists", { steps: [stepWith(list([1, 2, 3].map(() => list(texts(9_000)))))] }],
    ["of long texts", { steps: [stepWith(...texts(3, "é".repeat(50_000)))], serializationKey: "behind" }],
  ])("is read in parts: %s", (_, init) => {
    const bytes = toBinary(TransactionRequestSchema, create(TransactionRequestSchema, init));
    expect(partsOf(readingTransaction(bytes)).parts).toBeGreaterThan(1);
    expectSame(transaction, bytes);
    for (const cut of [1, 10_000, 20_000]) {
      const less = bytes.subarray(0, bytes.byteLength - cut);
      expectSame(transaction, less);
      expect(verdictOf(transaction, less).refused).toBe(true);
    }
  });

  it("is one with what both have where a list, or what it stands in, comes in several pieces", () => {
    const parts = [9_000, 3, 9_001].map((length) => toBinary(ValueSchema, list(texts(length))));
    const params = QueryRequestSchema.field.params.number;
    const writer = new BinaryWriter().tag(params, WireType.LengthDelimited).bytes(Buffer.concat(parts));
    const bytes = writer.finish();
    expectSame(query, bytes);
    const [param] = partsOf(readingQuery(bytes)).value.params;
    expect(param?.case === "listValue" && param.value.length).toBe(18_004);
  });

  it("is refused where it is nested more than 100 deep, and not before", () => {
    const deep = (depth: number): Uint8Array => {
      let value = toMessage({ case: undefined });
      for (let at = 0; at < depth; at += 1) value = list([...texts(at === 0 ? 20_000 : 1), value]);
      return toBinary(QueryRequestSchema, create(QueryRequestSchema, { params: [value] }));
    };
    for (const [depth, refused] of [
      [49, false],
      [50, true],
    ] as const) {
      expectSame(query, deep(depth));
      expect(verdictOf(query, deep(depth)).refused).toBe(refused);
    }
  });
});

function expectSame<D extends DescMessage, Given>(kind: Kind<D, Given>, bytes: Uint8Array): void {
  const { refused, given } = verdictOf(kind, bytes);
  let expected: Given | undefined;
  try {
    // protobuf-es reads a field that is encoded as another type as if it were encoded as its own.
    const options = { readUnknownFields: false };
    if (!isAmiss(kind.schema, bytes)) expected = kind.toGiven(fromBinary(kind.schema, bytes, options));
  } catch {
    // It is none.
  }
  expect(refused).toBe(expected === undefined);
  if (!isDeepStrictEqual(given, expected)) expect(given).toEqual(expected);
}

function verdictOf<Given>(
  { reading }: Pick<Kind<DescMessage, Given>, "reading">,
  bytes: Uint8Array,
): { readonly refused: boolean; readonly given?: Given } {
  try {
    return { refused: false, given: partsOf(reading(bytes)).value };
  } catch {
    return { refused: true };
  }
}

function toMessage(kind: Value["kind"]): Value {
  return { $typeName: "tandem.assistant.v1.Value", kind };
}

function toTime(time: GivenTime | undefined): GivenTime | undefined {
  return time && { seconds: time.seconds, nanos: time.nanos };
}

function toStatement(statement: Step["statement"]): GivenStep["statement"] {
  return statement.case === undefined ? { case: undefined } : statement;
}

function toStep({ statement, params, minChanges, maxChanges }: Step): GivenStep {
  return { statement: toStatement(statement), params: params.map(toParam), minChanges, maxChanges };
}

function toParam({ kind }: Param): GivenParam {
  if (kind.case === "value") return toValue(kind.value);
  if (kind.case === undefined) return { case: "none", value: undefined };
  const { step, row, column } = kind.value;
  return { case: "ref", value: { step, row, column } };
}

function toValue({ kind }: Value): GivenValue {
  if (kind.case === undefined) return { case: undefined, value: undefined };
  if (kind.case === "listValue") return { case: kind.case, value: kind.value.values.map(toValue) };
  if (kind.case !== "timestampValue") return { case: kind.case, value: kind.value } as GivenValue;
  return { case: kind.case, value: { seconds: kind.value.seconds, nanos: kind.value.nanos } };
}
