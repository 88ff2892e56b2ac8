import {
  ParamSchema,
  StepRefSchema,
  StepSchema,
  TransactionRequestSchema,
  WriteMetaSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { type Interruptible, lengthTag, type MessageReader, reading, varintTag } from "@tandem/rpc";
import type { Draft, GivenMeta, GivenStep, GivenTransaction, Reference } from "./given.ts";
import { asGiven, noTime, readTimeField, readValueField, toNull, type ValueDraft } from "./read-value.ts";

/** Reads a TransactionRequest, of which it gives what protobuf-es would, and fails where the bytes are none. */
export function readingTransaction(bytes: Uint8Array): Interruptible<GivenTransaction> {
  const request: Draft<GivenTransaction> = {
    requestId: "",
    attempt: 0,
    steps: [],
    isolation: 0,
    statementTimeout: undefined,
    transactionTimeout: undefined,
    validateOnly: false,
    meta: undefined,
    serializationKey: "",
    expireTime: undefined,
  };
  return reading(bytes, request, readRequestField);
}

function readRequestField(reader: MessageReader, request: Draft<GivenTransaction>): void {
  const tag = reader.nextTag();
  switch (tag) {
    case REQUEST_ID:
      request.requestId = reader.text();
      return;
    case STEPS: {
      const step = noStep();
      request.steps.push(step);
      return reader.message(step, readStepField);
    }
    case ISOLATION:
      request.isolation = reader.int32();
      return;
    case STATEMENT_TIMEOUT:
      return reader.message((request.statementTimeout ??= noTime()), readTimeField);
    case TRANSACTION_TIMEOUT:
      return reader.message((request.transactionTimeout ??= noTime()), readTimeField);
    case VALIDATE_ONLY:
      request.validateOnly = reader.bool();
      return;
    case META:
      return reader.message(
        (request.meta ??= { sourceInstanceId: "", requestedAt: undefined }),
        readMetaField,
      );
    case SERIALIZATION_KEY:
      request.serializationKey = reader.text();
      return;
    case ATTEMPT:
      request.attempt = reader.int32();
      return;
    case EXPIRE_TIME:
      return reader.message((request.expireTime ??= noTime()), readTimeField);
    default:
      reader.skipOther(TransactionRequestSchema);
  }
}

function readMetaField(reader: MessageReader, meta: Draft<GivenMeta>): void {
  const tag = reader.nextTag();
  if (tag === SOURCE_INSTANCE_ID) meta.sourceInstanceId = reader.text();
  else if (tag === REQUESTED_AT) reader.message((meta.requestedAt ??= noTime()), readTimeField);
  else reader.skipOther(WriteMetaSchema);
}

function noStep(): Draft<GivenStep> {
  return { statement: { case: undefined }, params: [], minChanges: undefined, maxChanges: undefined };
}

function readStepField(reader: MessageReader, step: Draft<GivenStep>): void {
  const tag = reader.nextTag();
  switch (tag) {
    case SQL:
      step.statement = { case: "sql", value: reader.text() };
      return;
    case NAME:
      step.statement = { case: "name", value: reader.text() };
      return;
    case PARAMS: {
      const param: ValueDraft = { case: "none", value: undefined };
      step.params.push(asGiven(param));
      return reader.message(param, readParamField);
    }
    case MIN_CHANGES:
      step.minChanges = reader.integer();
      return;
    case MAX_CHANGES:
      step.maxChanges = reader.integer();
      return;
    default:
      reader.skipOther(StepSchema);
  }
}

// A value and a reference stand where the message around them would.
function readParamField(reader: MessageReader, param: ValueDraft): void {
  const tag = reader.nextTag();
  if (tag === VALUE) {
    if (param.case === "none" || param.case === "ref") toNull(param);
    reader.message(param, readValueField);
  } else if (tag === REF) {
    if (param.case !== "ref") {
      param.case = "ref";
      param.value = { step: 0, row: 0, column: "" };
    }
    reader.message(param.value as Draft<Reference>, readReferenceField);
  } else {
    reader.skipOther(ParamSchema);
  }
}

function readReferenceField(reader: MessageReader, reference: Draft<Reference>): void {
  const tag = reader.nextTag();
  if (tag === REF_STEP) reference.step = reader.int32();
  else if (tag === REF_ROW) reference.row = reader.int32();
  else if (tag === REF_COLUMN) reference.column = reader.text();
  else reader.skipOther(StepRefSchema);
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
const EXPIRE_TIME = lengthTag(transaction.expireTime);

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
