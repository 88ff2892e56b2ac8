import { create } from "@bufbuild/protobuf";
import {
  RowSchema,
  type StepResult,
  StepResultSchema,
  type Value,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { HandlerError } from "@tandem/rpc";
import type { Catalog } from "./catalog.ts";
import type { Borrowed } from "./lease.ts";
import { type DbProxyLimits, wireLimit } from "./limits.ts";
import { type RoundResult, RoundTooLargeError } from "./round.ts";
import { invalid } from "./transaction-request.ts";
import { decodeValue } from "./values/decode-value.ts";
import { type Bound, encodeParam, ValueRefusedError } from "./values/encode-param.ts";
import type { PgType } from "./values/kind.ts";

/** A statement with the values for its parameters. */
export interface Statement {
  readonly sql: string;
  readonly values: readonly Value[];
  /** What to call it where its parameters are refused: `steps[2].`, or nothing for a query. */
  readonly field: string;
  readonly step?: number;
}

export interface StatementRun {
  readonly borrowed: Borrowed;
  readonly catalog: Catalog;
  readonly limits: DbProxyLimits;
}

// The least that an element of a list takes in an answer; as a value in memory it takes far more than as text.
const ELEMENT_BYTES = 8;

/**
 * Runs one statement: PostgreSQL is asked what types it takes the parameters for, the values are held
 * against them, and only then is it executed.
 */
export async function runStatement(statement: Statement, run: StatementRun): Promise<StepResult> {
  const { borrowed, catalog, limits } = run;
  const described = await describe(statement, run);
  const typesOf = (oids: readonly number[]): PgType[] => oids.map((oid) => catalog.typeOf(oid));
  const values = bindAll(statement, typesOf(described.paramTypes));
  const { rows, tag } = await borrowed.round((connection) => {
    connection.bind({ statement: "", values }, true);
    connection.execute({ rows: String(limits.maxRows + 1) }, true);
  });
  if (rows.length > limits.maxRows) {
    const { step } = statement;
    const message = `The result has more than ${limits.maxRows} rows: ask for less at a time.`;
    throw new HandlerError({ reason: "RESULT_TOO_LARGE", message, ...(step === undefined ? {} : { step }) });
  }
  const columns = typesOf(described.fields.map((field) => field.dataTypeID));
  refuseLongLists(rows, columns, limits);
  return create(StepResultSchema, {
    changes: changesOf(tag),
    columns: described.fields.map(({ name }, index) => ({ name, type: columns[index]?.name ?? "unknown" })),
    rows: rows.map((row) =>
      create(RowSchema, { values: row.map((text, index) => decodeValue(text, columns[index] ?? TEXT)) }),
    ),
  });
}

async function describe({ sql }: Statement, { borrowed, catalog }: StatementRun): Promise<RoundResult> {
  const ask = (): Promise<RoundResult> =>
    borrowed.round((connection) => {
      connection.parse({ name: "", text: sql, types: [] }, true);
      connection.describe({ type: "S", name: "" }, true);
    });
  const described = await ask();
  const oids = [...described.paramTypes, ...described.fields.map((field) => field.dataTypeID)];
  return (await catalog.learn(oids, borrowed)) ? ask() : described;
}

const TEXT: PgType = { name: "text", kind: "text" };

function refuseLongLists(rows: RoundResult["rows"], columns: readonly PgType[], limits: DbProxyLimits): void {
  let left = wireLimit(limits);
  for (const [index, { kind, delimiter = "," }] of columns.entries()) {
    if (kind !== "list") continue;
    for (const row of rows) {
      left -= ELEMENT_BYTES * ((row[index] ?? "").split(delimiter).length - 1);
      if (left < 0) throw new RoundTooLargeError();
    }
  }
}

function bindAll({ values, field, step }: Statement, types: readonly PgType[]): Bound[] {
  if (values.length !== types.length) {
    const why = `has ${values.length} values for the ${types.length} parameters of the statement`;
    throw invalid({ field: `${field}params`, step, why });
  }
  return values.map((value, index) => {
    try {
      return encodeParam(value, types[index] ?? TEXT);
    } catch (error) {
      if (error instanceof ValueRefusedError) {
        throw invalid({ field: `${field}params[${index}]`, step, why: error.message });
      }
      throw error;
    }
  });
}

/** The count of a command tag: `INSERT 0 3`, `UPDATE 3`, `SELECT 3`. */
export function changesOf(tag: string): bigint {
  const count = /\s(\d+)$/.exec(tag)?.[1];
  return BigInt(count ?? 0);
}
