import {
  type MessageInitShape,
  create,
  type DescField,
  type DescMessage,
  type DescOneof,
  fromBinary,
  toBinary,
} from "@bufbuild/protobuf";
import { Isolation, TransactionRequestSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { describe, expect, it } from "vitest";
import { fingerprinting } from "./request-fingerprint.ts";

const intOf = (value: bigint) => ({ kind: { case: "intValue", value } }) as const;
const textOf = (value: string) => ({ kind: { case: "textValue", value } }) as const;
const given = (value: object) => ({ kind: { case: "value", value } });
const listOf = (...values: object[]) => ({ kind: { case: "listValue", value: { values } } });

type StepInit = NonNullable<MessageInitShape<typeof TransactionRequestSchema>["steps"]>[number];

function fingerprint(request: object): string {
  const work = fingerprinting(create(TransactionRequestSchema, request));
  for (;;) {
    const next = work.next();
    if (next.done === true) return Buffer.from(next.value).toString("hex");
  }
}

const stepOf = (...params: object[]) => ({ statement: { case: "sql", value: "SELECT 1" }, params });

describe("the fingerprint of a request", () => {
  it("is the same for every copy, however it is sent", () => {
    const steps = [stepOf(given(intOf(1n)), given(listOf(textOf("a"), {})))] as StepInit[];
    const first = create(TransactionRequestSchema, {
      steps,
      serializationKey: "k",
    });
    const copy = fromBinary(TransactionRequestSchema, toBinary(TransactionRequestSchema, first));
    const later = {
      ...copy,
      attempt: 3,
      validateOnly: false,
      requestId: "x",
      meta: { sourceInstanceId: "other" },
    };
    expect(fingerprint(later)).toBe(fingerprint(first));
  });

  it("is another one for requests of which anything else differs", () => {
    const requests: object[] = [
      {},
      { isolation: Isolation.SERIALIZABLE },
      { serializationKey: "k" },
      { steps: [{}] },
      { steps: [{}, {}] },
      { steps: [{ statement: { case: "sql", value: "x" } }] },
      { steps: [{ statement: { case: "name", value: "x" } }] },
      { steps: [{ minChanges: 0n }] },
      { steps: [{ minChanges: 1n }] },
      { steps: [{ maxChanges: 1n }] },
      ...[
        [{}],
        [{}, {}],
        [{ kind: { case: "ref", value: { step: 0, row: 0, column: "a" } } }],
        [{ kind: { case: "ref", value: { step: 1, row: 0, column: "a" } } }],
        [{ kind: { case: "ref", value: { step: 0, row: 1, column: "a" } } }],
        [{ kind: { case: "ref", value: { step: 0, row: 0, column: "b" } } }],
        ...values.map((value) => [given(value)]),
        [given(intOf(1n)), given(intOf(2n))],
        [given(intOf(2n)), given(intOf(1n))],
      ].map((params) => ({ steps: [stepOf(...params)] })),
      { steps: [stepOf(given(intOf(1n))), stepOf(given(intOf(2n)))] },
      { steps: [stepOf(given(intOf(1n)), given(intOf(2n))), stepOf()] },
    ];
    const fingerprints = requests.map(fingerprint);
    expect(new Set(fingerprints).size).toBe(requests.length);
  });

  it("looks at every field that a step has, and a value can be", () => {
    // What the contract gains has to be looked at, too: otherwise two different requests are taken for one.
    expect(namesOf(TransactionRequestSchema, "steps")).toEqual([
      "statement",
      "params",
      "minChanges",
      "maxChanges",
    ]);
    const param = child(child(TransactionRequestSchema, "steps"), "params");
    expect(membersOf(param)).toEqual([["value", "ref"]]);
    expect(namesOf(param, "ref")).toEqual(["step", "row", "column"]);
    const kinds = new Set(values.map((value) => (value as { kind?: { case: string } }).kind?.case));
    kinds.delete(undefined);
    expect(membersOf(child(param, "value"))).toEqual([[...kinds]]);
  });
});

const values: readonly object[] = [
  {},
  { kind: { case: "boolValue", value: true } },
  { kind: { case: "boolValue", value: false } },
  intOf(1n),
  intOf(-1n),
  { kind: { case: "doubleValue", value: 0 } },
  { kind: { case: "doubleValue", value: -0 } },
  { kind: { case: "doubleValue", value: 1 } },
  { kind: { case: "doubleValue", value: Number.NaN } },
  { kind: { case: "doubleValue", value: Infinity } },
  textOf(""),
  textOf("1"),
  textOf("1\nnull"),
  textOf('"'),
  { kind: { case: "bytesValue", value: new Uint8Array([1]) } },
  { kind: { case: "bytesValue", value: new Uint8Array([1, 0]) } },
  { kind: { case: "timestampValue", value: { seconds: 1n, nanos: 1 } } },
  { kind: { case: "timestampValue", value: { seconds: 1n, nanos: 2 } } },
  { kind: { case: "numericValue", value: "1" } },
  { kind: { case: "jsonValue", value: "1" } },
  listOf(),
  listOf(intOf(1n)),
  listOf(intOf(1n), intOf(2n)),
  listOf(listOf(intOf(1n)), intOf(2n)),
  listOf(listOf(intOf(1n), intOf(2n))),
];

function child(schema: DescMessage, name: string): DescMessage {
  const { message } = schema.fields.find((field) => field.localName === name) as DescField & {
    message?: DescMessage;
  };
  if (message === undefined) throw new TypeError(`${name} is no message`);
  return message;
}

function membersOf(schema: DescMessage): (string | string[])[] {
  return schema.members.map((member: DescField | DescOneof) =>
    member.kind === "oneof" ? member.fields.map((field) => field.localName) : member.localName,
  );
}

function namesOf(schema: DescMessage, name: string): string[] {
  return child(schema, name).members.map((member) => member.localName);
}
