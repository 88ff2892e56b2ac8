import { QueryRequestSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { type Interruptible, lengthTag, type MessageReader, reading, varintTag } from "@tandem/rpc";
import type { Draft, GivenQuery } from "./given.ts";
import { asGiven, noTime, nullDraft, readTimeField, readValueField } from "./read-value.ts";

/** Reads a QueryRequest, of which it gives what protobuf-es would, and fails where the bytes are none. */
export function readingQuery(bytes: Uint8Array): Interruptible<GivenQuery> {
  const request: Draft<GivenQuery> = {
    statement: { case: undefined },
    params: [],
    statementTimeout: undefined,
    atLeastAsFresh: "",
    primary: false,
  };
  return reading(bytes, request, readQueryField);
}

function readQueryField(reader: MessageReader, request: Draft<GivenQuery>): void {
  const tag = reader.nextTag();
  switch (tag) {
    case SQL:
      request.statement = { case: "sql", value: reader.text() };
      return;
    case NAME:
      request.statement = { case: "name", value: reader.text() };
      return;
    case PARAMS: {
      const value = nullDraft();
      request.params.push(asGiven(value));
      return reader.message(value, readValueField);
    }
    case STATEMENT_TIMEOUT:
      return reader.message((request.statementTimeout ??= noTime()), readTimeField);
    case AT_LEAST_AS_FRESH:
      request.atLeastAsFresh = reader.text();
      return;
    case PRIMARY:
      request.primary = reader.bool();
      return;
    default:
      reader.skipOther(QueryRequestSchema);
  }
}

const query = QueryRequestSchema.field;
const SQL = lengthTag(query.sql);
const NAME = lengthTag(query.name);
const PARAMS = lengthTag(query.params);
const STATEMENT_TIMEOUT = lengthTag(query.statementTimeout);
const AT_LEAST_AS_FRESH = lengthTag(query.atLeastAsFresh);
const PRIMARY = varintTag(query.primary);
