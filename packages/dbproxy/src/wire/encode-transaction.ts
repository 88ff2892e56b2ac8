import { BinaryWriter } from "@bufbuild/protobuf/wire";
import {
  ParamSchema,
  StepRefSchema,
  StepSchema,
  TransactionRequestSchema,
  WriteMetaSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { lengthTag, varintTag, writeInt64 } from "@tandem/rpc";
import { ResolvedReference, type StepRequest, type TransactionRequest } from "./transaction-request.ts";
import { writeText } from "./write-text.ts";
import { writeTime, writeValue } from "./write-value.ts";

/**
 * Encodes requests, into the bytes that toBinary makes of the same messages, one after the other in the same memory. By
 * hand, since a message for each value that is made only to be encoded was a large part of what a transaction costs.
 */
export class TransactionEncoder {
  #writer = new BinaryWriter();

  /** @throws TypeError for what a caller in plain JavaScript can pass for a text or a boolean */
  encode(transaction: TransactionRequest): Uint8Array {
    const writer = this.#writer;
    let bytes: Uint8Array | undefined;
    try {
      writeTransaction(writer, transaction);
      bytes = writer.finish();
      return bytes;
    } finally {
      // A large one's memory isn't kept; nor what was written of one that failed, to stand before the next.
      if (bytes === undefined || bytes.byteLength > MAX_KEPT_BYTES) this.#writer = new BinaryWriter();
    }
  }
}

const MAX_KEPT_BYTES = 64 * 1024;

function writeTransaction(writer: BinaryWriter, transaction: TransactionRequest): void {
  const { requestId, steps, isolation, validateOnly, serializationKey, attempt } = transaction;
  if (requestId !== "") writeText(writer, REQUEST_ID, requestId);
  for (const step of steps) {
    writer.uint32(STEPS).fork();
    writeStep(writer, step);
    writer.join();
  }
  if (isolation !== 0) writer.uint32(ISOLATION).int32(isolation);
  if (transaction.statementTimeoutMs !== undefined)
    writeMs(writer, STATEMENT_TIMEOUT, transaction.statementTimeoutMs);
  if (transaction.transactionTimeoutMs !== undefined)
    writeMs(writer, TRANSACTION_TIMEOUT, transaction.transactionTimeoutMs);
  if (typeof validateOnly !== "boolean") throw new TypeError("validateOnly is a boolean");
  if (validateOnly) writer.uint32(VALIDATE_ONLY).bool(true);
  writer.uint32(META).fork();
  if (transaction.sourceInstanceId !== "")
    writeText(writer, SOURCE_INSTANCE_ID, transaction.sourceInstanceId);
  writeMs(writer, REQUESTED_AT, transaction.requestedAt);
  writer.join();
  if (serializationKey !== "") writeText(writer, SERIALIZATION_KEY, serializationKey);
  if (attempt !== 0) writer.uint32(ATTEMPT).int32(attempt);
}

function writeStep(writer: BinaryWriter, { source, params, minChanges, maxChanges }: StepRequest): void {
  writeText(writer, source.case === "sql" ? SQL : NAME, source.value);
  for (const param of params) {
    writer.uint32(PARAMS).fork();
    if (param instanceof ResolvedReference) {
      writer.uint32(REF).fork();
      writeReference(writer, param);
    } else {
      writer.uint32(VALUE).fork();
      writeValue(writer, param);
    }
    writer.join().join();
  }
  if (minChanges !== undefined) writeInt64(writer, MIN_CHANGES, minChanges);
  if (maxChanges !== undefined) writeInt64(writer, MAX_CHANGES, maxChanges);
}

function writeReference(writer: BinaryWriter, { step, row, column }: ResolvedReference): void {
  if (step !== 0) writer.uint32(REF_STEP).int32(step);
  if (row !== 0) writer.uint32(REF_ROW).int32(row);
  if (column !== "") writeText(writer, REF_COLUMN, column);
}

/** A Duration, or a Timestamp of 1970 or later. */
function writeMs(writer: BinaryWriter, tag: number, ms: number): void {
  const seconds = Math.floor(ms / 1_000);
  writer.uint32(tag).fork();
  writeTime(writer, { seconds, nanos: (ms - seconds * 1_000) * 1e6 });
  writer.join();
}

const transaction = TransactionRequestSchema.field;
const REQUEST_ID = lengthTag(transaction.requestId);
const STEPS = lengthTag(transaction.steps);
const ISOLATION = varintTag(transaction.isolation);
const STATEMENT_TIMEOUT = lengthTag(transaction.statementTimeout);
const TRANSACTION_TIMEOUT = lengthTag(transaction.transactionTimeout);
const VALIDATE_ONLY = varintTag(transaction.validateOnly);
const META = lengthTag(transaction.meta);
const SERIALIZATION_KEY = lengthTag(transaction.serializationKey);
const ATTEMPT = varintTag(transaction.attempt);

const SOURCE_INSTANCE_ID = lengthTag(WriteMetaSchema.field.sourceInstanceId);
const REQUESTED_AT = lengthTag(WriteMetaSchema.field.requestedAt);

const step = StepSchema.field;
const SQL = lengthTag(step.sql);
const NAME = lengthTag(step.name);
const PARAMS = lengthTag(step.params);
const MIN_CHANGES = varintTag(step.minChanges);
const MAX_CHANGES = varintTag(step.maxChanges);

const VALUE = lengthTag(ParamSchema.field.value);
const REF = lengthTag(ParamSchema.field.ref);
const REF_STEP = varintTag(StepRefSchema.field.step);
const REF_ROW = varintTag(StepRefSchema.field.row);
const REF_COLUMN = lengthTag(StepRefSchema.field.column);
