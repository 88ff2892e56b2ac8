import type { DescField, DescMessage, DescOneof } from "@bufbuild/protobuf";
import { Isolation, TransactionRequestSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { describe, expect, it } from "vitest";
import { givenTransaction } from "../testing/given.ts";
import { finish, partsOf } from "../testing/interruptible.ts";
import { fingerprinting } from "./request-fingerprint.ts";

const intOf = (value: bigint) => ({ kind: { case: "intValue", value } }) as const;
const textOf = (value: string) => ({ kind: { case: "textValue", value } }) as const;
const given = (value: object) => ({ kind: { case: "value", value } });
const listOf = (...values: object[]) => ({ kind: { case: "listValue", value: { values } } });

function fingerprint(request: object): string {
  return Buffer.from(finish(fingerprinting(givenTransaction(request)))).toString("hex");
}

const stepOf = (...params: object[]) => ({ statement: { case: "sql", value: "SELECT 1" }, params });

describe("the fingerprint of a request", () => {
  it("is the same for every copy, however it is sent", () => {
    const first = {
      steps: [stepOf(given(intOf(1n)), given(listOf(textOf("a"), {})))],
      serializationKey: "k",
    };
    const later = {
      ...first,
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

  it.each(pinned)(
    "stays what it was for a copy that comes after an update of this service: $what",
    (each) => {
      // Receipts keep it: with another digest a retry across the update would be taken for another request.
      expect(fingerprint(each.request)).toBe(each.digest);
    },
  );

  it.each([
    ["steps, which may have no parameters", { steps: Array.from({ length: 10_000 }, () => ({})) }],
    ["parameters", { steps: [stepOf(...Array.from({ length: 10_000 }, () => ({})))] }],
    ["elements", { steps: [stepOf(given(listOf(...Array.from({ length: 10_000 }, () => ({})))))] }],
  ])("is made in parts where there are many %s", (_, request) => {
    expect(partsOf(fingerprinting(givenTransaction(request))).parts).toBeGreaterThan(5);
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

const pinned: readonly { what: string; request: object; digest: string }[] = [
  {
    what: "nothing in it",
    request: {},
    digest: "6db638fe4d2f91ce6df5dc5b48eeffc142af93bc847e52ff6f711403b7532f70",
  },
  {
    what: "isolation and key",
    request: { isolation: Isolation.SERIALIZABLE, serializationKey: 'k "☂"\n' },
    digest: "7dcd6d4b8afd53e7cc6132dffbc5808d439fb090c80d6a0f63fbc743a5477f7b",
  },
  {
    what: "heads of steps",
    request: {
      steps: [
        {},
        { statement: { case: "sql", value: "SELECT '\u2028'\n\t\\" } },
        { statement: { case: "name", value: "a.b" }, minChanges: 0n, maxChanges: 2n ** 63n - 1n },
        { statement: { case: "sql", value: "" }, maxChanges: -1n },
      ],
    },
    digest: "9362dd6fde9afcba29b714a95b2dc4311fd1e780c4ce1eb3aa1c4a3d7465c197",
  },
  {
    what: "references, and a parameter that is nothing",
    request: {
      steps: [stepOf({}, { kind: { case: "ref", value: { step: 1, row: -2, column: 'a"b' } } })],
    },
    digest: "8fc41e66259b5e993596ee03574a020997a722d1bc2883c2079e6e3ffb3448ed",
  },
  {
    what: "values of every kind",
    request: { steps: [stepOf(...values.map((value) => given(value)))] },
    digest: "32d08a17e5cbd0ace7e9afd16bcc076ed56bd341de40f336e833e8d048e28ad4",
  },
  {
    what: "values at their ends",
    request: {
      steps: [
        stepOf(
          ...[intOf(2n ** 63n - 1n), intOf(-(2n ** 63n)), textOf("☂\u0000\u001f\u007f\uffff")].map(given),
          given({ kind: { case: "doubleValue", value: 1e21 } }),
          given({ kind: { case: "doubleValue", value: 5e-324 } }),
          given({ kind: { case: "timestampValue", value: { seconds: -1n, nanos: 999_999_999 } } }),
          given({ kind: { case: "bytesValue", value: Uint8Array.from({ length: 256 }, (_, at) => at) } }),
        ),
      ],
    },
    digest: "dae00313e699c1cdb135b096fc25fda7b353434a2cbfd6baf76b493f5718c28a",
  },
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
