import { create } from "@bufbuild/protobuf";
import {
  type Row,
  RowSchema,
  type StepResult,
  StepResultSchema,
  type Value,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { HandlerError, type Interruptible, type TimeSlices } from "@tandem/rpc";
import type { Catalog } from "./catalog.ts";
import { describeStatement } from "./describe-statement.ts";
import type { Borrowed } from "./lease.ts";
import { type DbProxyLimits, wireLimit } from "./limits.ts";
import { assertAsDeclared, assertRowsAsDeclared } from "./registered/assert-declared.ts";
import type { RegisteredStatement } from "./registered/registry.ts";
import { type RoundResult, RoundTooLargeError } from "./round.ts";
import { invalid } from "./transaction-request.ts";
import { decodeScalar, decodingList } from "./values/decode-value.ts";
import { type Bound, encodingParam, ValueRefusedError } from "./values/encode-param.ts";
import type { PgType } from "./values/kind.ts";

/** A statement with the values for its parameters. */
export interface Statement {
  readonly sql: string;
  readonly values: readonly Value[];
  /** What to call it where its parameters are refused: `steps[2].`, or nothing for a query. */
  readonly field: string;
  readonly step?: number;
  /** Where it was called by a name. */
  readonly registered?: RegisteredStatement | undefined;
}

export interface StatementRun {
  readonly borrowed: Borrowed;
  readonly catalog: Catalog;
  readonly limits: DbProxyLimits;
  readonly slices: TimeSlices;
}

// The least that an element of a list takes in an answer; as a value in memory it takes far more than as text.
const ELEMENT_BYTES = 8;

/**
 * Runs one statement: PostgreSQL is asked what types it takes the parameters for, the values are held
 * against them, and only then is it executed.
 */
export async function runStatement(statement: Statement, run: StatementRun): Promise<StepResult> {
  const { borrowed, limits, slices } = run;
  const described = await describeStatement(statement.sql, run);
  const { registered } = statement;
  if (registered !== undefined) assertAsDeclared(registered, described, statement);
  const values = await slices.run(bindingAll(statement, described.params));
  const { rows, tag } = await borrowed.round((connection) => {
    connection.bind({ statement: "", values }, true);
    connection.execute({ rows: String(limits.maxRows + 1) }, true);
  });
  if (rows.length > limits.maxRows) {
    const { step } = statement;
    const message = `The result has more than ${limits.maxRows} rows: ask for less at a time.`;
    throw new HandlerError({ reason: "RESULT_TOO_LARGE", message, ...(step === undefined ? {} : { step }) });
  }
  if (registered !== undefined)
    assertRowsAsDeclared(registered, { columns: described.columns, rows }, statement);
  const columns = described.columns.map(({ type }) => type);
  await slices.run(refusingLongLists(rows, columns, limits));
  return create(StepResultSchema, {
    changes: changesOf(tag),
    columns: described.columns.map(({ name, type }) => ({ name, type: type.name })),
    rows: await slices.run(decodingRows(rows, columns)),
  });
}

const TEXT: PgType = { name: "text", kind: "text" };

function* refusingLongLists(
  rows: RoundResult["rows"],
  columns: readonly PgType[],
  limits: DbProxyLimits,
): Interruptible<void> {
  let left = wireLimit(limits) / ELEMENT_BYTES;
  for (const [index, { kind, delimiter = "," }] of columns.entries()) {
    if (kind !== "list") continue;
    for (const row of rows) {
      const text = row[index] ?? "";
      for (let at = text.indexOf(delimiter); at >= 0; at = text.indexOf(delimiter, at + 1)) {
        left -= 1;
        if (left < 0) throw new RoundTooLargeError();
        if (left % SLICE_ELEMENTS === 0) yield;
      }
      yield;
    }
  }
}

const SLICE_ELEMENTS = 16 * 1024;

function* decodingRows(rows: RoundResult["rows"], columns: readonly PgType[]): Interruptible<Row[]> {
  const decoded: Row[] = [];
  for (const row of rows) {
    const values: Value[] = [];
    for (const [index, text] of row.entries()) {
      const type = columns[index] ?? TEXT;
      const isList = text !== null && type.kind === "list";
      values.push(isList ? yield* decodingList(text, type) : decodeScalar(text, type));
    }
    decoded.push(create(RowSchema, { values }));
    yield;
  }
  return decoded;
}

function* bindingAll(
  { values, field, step, registered }: Statement,
  types: readonly PgType[],
): Interruptible<Bound[]> {
  if (values.length !== types.length) {
    const why = `has ${values.length} values for the ${types.length} parameters of the statement`;
    throw invalid({ field: `${field}params`, step, why });
  }
  const bound: Bound[] = [];
  for (const [index, value] of values.entries()) {
    const declared = registered?.params[index];
    if (value.kind.case === undefined && declared?.type.nullable === false) {
      const why = `is NULL, which the parameter "${declared.name}" of ${registered?.name} can't be`;
      throw invalid({ field: `${field}params[${index}]`, step, why });
    }
    try {
      bound.push(yield* encodingParam(value, types[index] ?? TEXT));
    } catch (error) {
      if (!(error instanceof ValueRefusedError)) throw error;
      throw invalid({ field: `${field}params[${index}]`, step, why: error.message });
    }
    yield;
  }
  return bound;
}

/** The count of a command tag: `INSERT 0 3`, `UPDATE 3`, `SELECT 3`. */
export function changesOf(tag: string): bigint {
  const count = /\s(\d+)$/.exec(tag)?.[1];
  return BigInt(count ?? 0);
}
