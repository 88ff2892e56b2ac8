import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { DurationSchema, durationFromMs, timestampFromMs, TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  Isolation,
  ParamSchema,
  StepRefSchema,
  StepSchema,
  TransactionRequestSchema,
  type Value,
  ValueListSchema,
  ValueSchema,
  WriteMetaSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TransactionEncoder } from "./encode-transaction.ts";
import { ResolvedReference, type StepRequest, type TransactionRequest } from "./transaction-request.ts";

// Short and long, with and without what takes more than a byte.
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ minLength: 30, maxLength: 300 }),
  fc.constantFrom("", "☂".repeat(50), "x".repeat(20_000)),
);
const int64 = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(0n, 1n, -1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n - 1n, -(2n ** 63n)),
);
const count = int64.filter((value) => value >= 0n);
const int32 = fc.nat({ max: 2 ** 31 - 1 });
const ms = fc.oneof(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: 2 ** 52 }));

const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc
    .oneof(
      { depthSize: "small" },
      fc.constant({ case: undefined } as const),
      kind("boolValue", fc.boolean()),
      kind("intValue", int64),
      kind("doubleValue", fc.double()),
      kind("textValue", text),
      kind("bytesValue", fc.uint8Array({ maxLength: 300 })),
      kind(
        "timestampValue",
        fc
          .record({ seconds: int64, nanos: fc.oneof(fc.constant(0), fc.nat({ max: 999_999_999 })) })
          .map((time) => create(TimestampSchema, time)),
      ),
      kind("numericValue", text),
      kind("jsonValue", text),
      kind(
        "listValue",
        fc.array(tie("value"), { maxLength: 5 }).map((values) => create(ValueListSchema, { values })),
      ),
    )
    .map((each) => create(ValueSchema, { kind: each })),
}));

const step: fc.Arbitrary<StepRequest> = fc.record({
  source: fc.record({ case: fc.constantFrom("sql", "name"), value: text }),
  params: fc.array(
    fc.oneof(
      value,
      fc.record({ step: int32, row: int32, column: text }).map((to) => new ResolvedReference(to)),
      fc.constant(new ResolvedReference({ step: 0, row: 0, column: "" })),
    ),
  ),
  minChanges: fc.option(count, { nil: undefined }),
  maxChanges: fc.option(count, { nil: undefined }),
});

const transaction: fc.Arbitrary<TransactionRequest> = fc.record({
  requestId: fc.oneof(fc.constant(""), fc.uuid()),
  attempt: fc.oneof(fc.constant(0), int32),
  steps: fc.array(step, { maxLength: 5 }),
  isolation: fc.constantFrom(...Object.values(Isolation).filter((each) => typeof each === "number")),
  statementTimeoutMs: fc.option(ms, { nil: undefined }),
  transactionTimeoutMs: fc.option(ms, { nil: undefined }),
  validateOnly: fc.boolean(),
  sourceInstanceId: text,
  requestedAt: fc.oneof(fc.constant(0), fc.nat({ max: 2 ** 48 - 1 })),
  serializationKey: text,
});

function kind<Case extends string, T>(name: Case, values: fc.Arbitrary<T>) {
  return values.map((each) => ({ case: name, value: each }));
}

/** The same as what is generated of the contract takes it. */
function toInit(request: TransactionRequest): MessageInitShape<typeof TransactionRequestSchema> {
  const { statementTimeoutMs, transactionTimeoutMs, sourceInstanceId, requestedAt, steps, ...same } = request;
  return {
    ...same,
    ...(statementTimeoutMs === undefined ? {} : { statementTimeout: durationFromMs(statementTimeoutMs) }),
    ...(transactionTimeoutMs === undefined
      ? {}
      : { transactionTimeout: durationFromMs(transactionTimeoutMs) }),
    meta: { sourceInstanceId, requestedAt: timestampFromMs(requestedAt) },
    steps: steps.map(({ source, params, minChanges, maxChanges }) => ({
      statement: source,
      params: params.map(toParam),
      ...(minChanges === undefined ? {} : { minChanges }),
      ...(maxChanges === undefined ? {} : { maxChanges }),
    })),
  };
}

function toParam(param: StepRequest["params"][number]): MessageInitShape<typeof ParamSchema> {
  if (!(param instanceof ResolvedReference)) return { kind: { case: "value", value: param } };
  const { step: position, row, column } = param;
  return { kind: { case: "ref", value: { step: position, row, column } } };
}

const example: TransactionRequest = {
  requestId: "",
  attempt: 0,
  steps: [],
  isolation: Isolation.UNSPECIFIED,
  statementTimeoutMs: undefined,
  transactionTimeoutMs: undefined,
  validateOnly: false,
  sourceInstanceId: "test",
  requestedAt: 1_767_323_045_678,
  serializationKey: "",
};

describe("a transaction's request is encoded", () => {
  it("into the bytes that protobuf-es makes of it, whatever is in it", () => {
    const encoder = new TransactionEncoder();
    const property = fc.property(transaction, (request) => {
      const expected = toBinary(TransactionRequestSchema, create(TransactionRequestSchema, toInit(request)));
      expect(Buffer.from(encoder.encode(request)).equals(expected)).toBe(true);
    });
    fc.assert(property, { numRuns: 1_000 });
  });

  it.each<{ schema: DescMessage; fields: readonly string[]; unused?: readonly string[] }>([
    {
      schema: TransactionRequestSchema,
      fields: [
        "request_id",
        "steps",
        "isolation",
        "statement_timeout",
        "transaction_timeout",
        "validate_only",
        "meta",
        "serialization_key",
        "attempt",
      ],
      unused: ["expire_time"],
    },
    { schema: StepSchema, fields: ["sql", "name", "params", "min_changes", "max_changes"] },
    { schema: ParamSchema, fields: ["value", "ref"] },
    { schema: StepRefSchema, fields: ["step", "row", "column"] },
    { schema: WriteMetaSchema, fields: ["source_instance_id", "requested_at"] },
    {
      schema: ValueSchema,
      fields: [
        "bool_value",
        "int_value",
        "double_value",
        "text_value",
        "bytes_value",
        "timestamp_value",
        "numeric_value",
        "json_value",
        "list_value",
      ],
    },
    { schema: ValueListSchema, fields: ["values"] },
    { schema: TimestampSchema, fields: ["seconds", "nanos"] },
    { schema: DurationSchema, fields: ["seconds", "nanos"] },
  ])("with every field of $schema that there is, or says which it leaves out", ({ schema, ...known }) => {
    // A field that the contract gained is to be written here as well, or to be named as one that isn't.
    const { fields, unused = [] } = known;
    expect(schema.fields.map(({ name }) => name).toSorted()).toEqual([...fields, ...unused].toSorted());
  });

  it.each<{ what: string; wrong: { readonly [Name in keyof TransactionRequest]?: unknown } }>([
    { what: "a number for a text", wrong: { sourceInstanceId: 7 } },
    { what: "half a character", wrong: { serializationKey: "\ud800" } },
    { what: "a text for a boolean", wrong: { validateOnly: "no" } },
  ])("not where a caller in plain JavaScript gives $what, and the next one is as ever", ({ wrong }) => {
    const encoder = new TransactionEncoder();
    const expected = encoder.encode(example);
    const mistaken: object = { ...example, ...wrong };
    // The types exclude it.
    expect(() => encoder.encode(mistaken as TransactionRequest)).toThrow(TypeError);
    expect(encoder.encode(example)).toEqual(expected);
  });
});
