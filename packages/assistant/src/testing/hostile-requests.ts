import { create, toBinary } from "@bufbuild/protobuf";
import {
  DbProxy,
  QueryRequestSchema,
  TransactionRequestSchema,
  type TransactionRequest,
  type Value,
  ValueListSchema,
  ValueSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { defaultRpcLimits } from "@tandem/rpc";
import { toGrpcFrame } from "@tandem/testkit";
import type { OutgoingHttpHeaders } from "node:http2";
import { constants, createGzip, gzipSync } from "node:zlib";
import { buffer } from "node:stream/consumers";
import { Readable } from "node:stream";
import { defaultDbProxyLimits } from "../db-proxy/limits.ts";
import { identified } from "./identified.ts";
import type { StepInit } from "./proxy-fixture.ts";

/** A request that nobody should send, and what it is answered with. */
export interface HostileRequest {
  readonly what: string;
  readonly path: string;
  readonly body: Uint8Array;
  readonly headers?: OutgoingHttpHeaders;
  /** The code, and the reason where a handler or the entrance speaks. */
  readonly answer: string;
  /** It keeps the parser busy, and takes what memory the parser has. */
  readonly parsed?: boolean;
}

const MIB = 1024 * 1024;
const ZEROS = Buffer.alloc(MIB);
// The same in each, so that they are as large as they are meant to be.
const { meta } = identified();
const TRANSACTION = `/${DbProxy.typeName}/Transaction`;
const QUERY = `/${DbProxy.typeName}/Query`;
const TOO_LARGE = "INVALID_ARGUMENT REQUEST_TOO_LARGE";
const INVALID = "INVALID_ARGUMENT INVALID_REQUEST";
const SQL_INVALID = "INVALID_ARGUMENT SQL_INVALID";

const { maxRequestBytes, maxRequestFields } = defaultRpcLimits;
const { maxSteps, maxParams, maxSqlBytes, maxKeyBytes } = defaultDbProxyLimits;

/** A request of as many fields as may be. */
export function largestRequest(): Pick<HostileRequest, "path" | "body"> {
  return { path: TRANSACTION, body: toGrpcFrame(withFields(maxRequestFields)) };
}

/** A request as large as may be. */
export function fullRequest(): Pick<HostileRequest, "path" | "body"> {
  return { path: TRANSACTION, body: toGrpcFrame(padded(maxRequestBytes)) };
}

/** A request whose text nobody has sent yet, which is short and has a tree of a gigabyte. */
export function unparsableRequest(number: number): Pick<HostileRequest, "path" | "body"> {
  const columns = 3_000;
  const text = `UPDATE t SET (a${",a".repeat(columns)})=(${number}${",1".repeat(columns)})`;
  return { path: TRANSACTION, body: toGrpcFrame(request({ steps: [sql(text)] })) };
}

/** One request over each limit, and some that are costly in other ways. */
export async function hostileRequests(): Promise<readonly HostileRequest[]> {
  return [...requestsOverLimits(), ...nestedRequests(), ...nestedStatements(), ...(await bombs())];
}

function requestsOverLimits(): HostileRequest[] {
  const selects = (count: number): StepInit[] => repeat(count, () => sql("SELECT 1"));
  const nulls = (count: number): Value[] => repeat(count, () => create(ValueSchema));
  return [
    transaction("one byte over the request's limit", TOO_LARGE, padded(maxRequestBytes + 1)),
    transaction("twice the request's limit", TOO_LARGE, padded(2 * maxRequestBytes)),
    transaction("one byte over what is read at all", "RESOURCE_EXHAUSTED", padded(2 * maxRequestBytes + 1)),
    transaction("one step too many", TOO_LARGE, request({ steps: selects(maxSteps + 1) })),
    transaction(
      "one parameter too many",
      TOO_LARGE,
      request({ steps: [sql("SELECT 1", nulls(maxParams + 1))] }),
    ),
    transaction(
      "one byte of SQL too many",
      TOO_LARGE,
      request({ steps: [sql(fill("SELECT 1", "/", maxSqlBytes + 1))] }),
    ),
    transaction(
      "one byte of the key too many",
      TOO_LARGE,
      request({ steps: selects(1), serializationKey: "k".repeat(maxKeyBytes + 1) }),
    ),
    transaction("one field too many", TOO_LARGE, withFields(maxRequestFields + 1)),
    transaction("two million empty values", TOO_LARGE, withFields(2_000_000)),
    transaction(
      "one and the same field two million times",
      TOO_LARGE,
      Buffer.from("4801".repeat(2_000_000), "hex"),
    ),
    transaction("two million empty steps", TOO_LARGE, Buffer.from("1200".repeat(2_000_000), "hex")),
    {
      what: "a query of two million values",
      path: QUERY,
      answer: TOO_LARGE,
      body: toGrpcFrame(
        toBinary(QueryRequestSchema, create(QueryRequestSchema, { params: nulls(2_000_000) })),
      ),
    },
    transaction(
      "two million fields that nobody knows",
      TOO_LARGE,
      Buffer.from("7001".repeat(2_000_000), "hex"),
    ),
  ];
}

function nestedRequests(): HostileRequest[] {
  return [
    transaction("lists nested 49 deep", INVALID, nestedLists(49)),
    transaction("lists nested 100 deep", INVALID, nestedLists(100)),
    transaction("lists nested 10,000 deep", INVALID, nestedLists(10_000)),
    transaction("groups nested two million deep", INVALID, Buffer.alloc(4 * MIB - 1, 0x7b)),
  ];
}

function nestedStatements(): HostileRequest[] {
  const texts: Readonly<Record<string, string>> = {
    "10,000 parentheses": `SELECT ${"(".repeat(10_000)}1${")".repeat(10_000)}`,
    "5,000 queries in each other": `${"SELECT(".repeat(5_000)}SELECT 1${")".repeat(5_000)}`,
    "a chain of 20,000 operators": `SELECT 1${"+1".repeat(20_000)}`,
    "30,000 signs before a number": `SELECT ${"- ".repeat(30_000)}1`,
    "comments nested 16,000 deep": `SELECT 1${"/*".repeat(16_000)}${"*/".repeat(16_000)}`,
    "8,000 arrays in each other": `SELECT ${"ARRAY[".repeat(8_000)}1${"]".repeat(8_000)}`,
    "10,000 casts of casts": `SELECT 1${"::int".repeat(10_000)}`,
    "16,000 columns assigned at once": `UPDATE t SET (a${",a".repeat(15_999)})=(1${",1".repeat(15_999)})`,
  };
  return Object.entries(texts).map(([what, text]) => ({
    ...transaction(what, SQL_INVALID, request({ steps: [sql(text)] })),
    parsed: true,
  }));
}

/** Little on the wire that becomes much, if it is let. */
async function bombs(): Promise<HostileRequest[]> {
  const zeros = Readable.from(Array.from({ length: 1024 }, () => ZEROS));
  const gib = await buffer(zeros.pipe(createGzip({ level: constants.Z_BEST_COMPRESSION })));
  const small = toGrpcFrame(gzipSync(Buffer.alloc(8 * MIB)), { compressed: true });
  const compressed = { path: TRANSACTION, headers: { "grpc-encoding": "gzip" }, answer: "UNIMPLEMENTED" };
  const headers = Object.fromEntries(repeat(10_000, (at) => [`x-${at}`, "x"]));
  const nothing = { path: TRANSACTION, body: new Uint8Array(), answer: "nothing" };
  return [
    { ...compressed, what: "a GiB, compressed to one MiB", body: toGrpcFrame(gib, { compressed: true }) },
    {
      ...compressed,
      what: "100 times 8 MiB, compressed to 8 KiB",
      body: Buffer.concat(repeat(100, () => small)),
    },
    { ...nothing, what: "10,000 headers", headers },
    { ...nothing, what: "a header of a MiB", headers: { "x-long": "x".repeat(MIB) } },
  ];
}

function transaction(what: string, answer: string, message: Uint8Array): HostileRequest {
  return { what, path: TRANSACTION, body: toGrpcFrame(message), answer };
}

function request(
  init: Partial<Pick<TransactionRequest, "serializationKey">> & { readonly steps: readonly StepInit[] },
): Uint8Array {
  return toBinary(
    TransactionRequestSchema,
    create(TransactionRequestSchema, { ...identified(), meta, ...init, steps: [...init.steps] }),
  );
}

/** A request of exactly so many fields, most of them NULLs in a list. */
function withFields(fields: number): Uint8Array {
  // A step with its text, a parameter, its value, the list; the request's id and its meta with three more.
  const others = 5 + 1 + 1 + 4;
  const values = repeat(fields - others, () => create(ValueSchema));
  return request({ steps: [sql("SELECT cardinality($1::int8[])", [list(values)])] });
}

function sql(text: string, values: readonly Value[] = []): StepInit {
  return {
    statement: { case: "sql", value: text },
    params: values.map((value) => ({ kind: { case: "value", value } })),
  };
}

function list(values: Value[]): Value {
  return create(ValueSchema, { kind: { case: "listValue", value: create(ValueListSchema, { values }) } });
}

/** A request of exactly so many bytes, most of them those of one text. */
function padded(bytes: number): Uint8Array {
  const withText = (length: number): Uint8Array =>
    request({
      steps: [
        sql("SELECT length($1)", [
          create(ValueSchema, { kind: { case: "textValue", value: "x".repeat(length) } }),
        ]),
      ],
    });
  return withText(bytes - (withText(bytes).byteLength - bytes));
}

function fill(start: string, filler: string, bytes: number): string {
  return `${start}${filler.repeat(bytes - start.length)}`;
}

/** A list in a list in a list: as bytes, since protobuf-es goes no deeper than it reads. */
function nestedLists(depth: number): Uint8Array {
  let body: Buffer = Buffer.alloc(0);
  const wrap = (field: number): void => {
    body = Buffer.concat([Buffer.of((field << 3) | 2), varint(body.byteLength), body]);
  };
  for (let left = depth; left > 0; left -= 1) {
    wrap(1);
    wrap(9);
  }
  // The list is the value of a parameter of a step.
  for (const field of [1, 3, 2]) wrap(field);
  const text = Buffer.from("SELECT $1");
  const step = Buffer.concat([Buffer.of((1 << 3) | 2, text.byteLength), text]);
  return Buffer.concat([Buffer.of((2 << 3) | 2, step.byteLength), step, body]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let left = value; ; left >>>= 7) {
    if (left < 0x80) return Buffer.of(...bytes, left);
    bytes.push((left & 0x7f) | 0x80);
  }
}

function repeat<T>(times: number, make: (at: number) => T): T[] {
  return Array.from({ length: times }, (_, at) => make(at));
}
