import type { BinaryWriter } from "@bufbuild/protobuf/wire";
import {
  ColumnSchema,
  QueryResponseSchema,
  RowSchema,
  StepResultSchema,
  TransactionResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { type Interruptible, lengthTag, varintTag, writeInt64 } from "@tandem/rpc";
import type { StepResult } from "../step-result.ts";
import { TEXT } from "../values/kind.ts";
import { writeScalar, writingList } from "./write-value.ts";

/** Writes the results of a TransactionResponse, and nothing else of it, into the bytes that toBinary would make of them. */
export function* writingResults(
  writer: BinaryWriter,
  results: readonly StepResult[],
  { withRows = true }: { readonly withRows?: boolean } = {},
): Interruptible<void> {
  for (const { changes, columns, rows } of results) {
    writer.uint32(RESULTS).fork();
    if (changes !== 0n) writeInt64(writer, CHANGES, changes);
    if (withRows) yield* writingTable(writer, { columns, rows }, STEP_TABLE);
    writer.join();
  }
}

/** Writes a QueryResponse in the same way. */
export function writingQueryResponse(writer: BinaryWriter, table: Table): Interruptible<void> {
  return writingTable(writer, table, QUERY_TABLE);
}

type Table = Pick<StepResult, "columns" | "rows">;

// So many characters are written at one go. A value without any is work as well.
const SLICE_CHARACTERS = 64 * 1024;
const VALUE_CHARACTERS = 32;

function* writingTable(
  writer: BinaryWriter,
  { columns, rows }: Table,
  tags: { readonly columns: number; readonly rows: number },
): Interruptible<void> {
  for (const { name, type } of columns) {
    writer.uint32(tags.columns).fork();
    if (name !== "") writer.uint32(COLUMN_NAME).string(name);
    if (type.name !== "") writer.uint32(COLUMN_TYPE).string(type.name);
    writer.join();
  }
  let characters = 0;
  for (const row of rows) {
    writer.uint32(tags.rows).fork();
    for (const [index, text] of row.entries()) {
      const type = columns[index]?.type ?? TEXT;
      writer.uint32(ROW_VALUES).fork();
      if (text === null) characters += VALUE_CHARACTERS;
      else {
        characters += VALUE_CHARACTERS + text.length;
        if (type.kind === "list") yield* writingList(writer, text, type);
        else writeScalar(writer, text, type);
      }
      writer.join();
    }
    writer.join();
    if (characters < SLICE_CHARACTERS) continue;
    characters = 0;
    yield;
  }
}

const RESULTS = lengthTag(TransactionResponseSchema.field.results);
const CHANGES = varintTag(StepResultSchema.field.changes);
const STEP_TABLE = {
  columns: lengthTag(StepResultSchema.field.columns),
  rows: lengthTag(StepResultSchema.field.rows),
};
const QUERY_TABLE = {
  columns: lengthTag(QueryResponseSchema.field.columns),
  rows: lengthTag(QueryResponseSchema.field.rows),
};
const COLUMN_NAME = lengthTag(ColumnSchema.field.name);
const COLUMN_TYPE = lengthTag(ColumnSchema.field.type);
const ROW_VALUES = lengthTag(RowSchema.field.values);
