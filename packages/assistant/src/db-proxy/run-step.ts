import { create } from "@bufbuild/protobuf";
import {
  RowSchema,
  type StepResult,
  StepResultSchema,
  type Value,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { HandlerError } from "@tandem/rpc";
import type { Catalog } from "./catalog.ts";
import type { Borrowed } from "./connections.ts";
import type { DbProxyLimits } from "./limits.ts";
import { type RoundResult, RoundTooLargeError } from "./round.ts";
import { invalid } from "./transaction-request.ts";
import { decodeValue } from "./values/decode-value.ts";
import { type Bound, encodeParam, ValueRefusedError } from "./values/encode-param.ts";
import type { PgType } from "./values/kind.ts";

/** A statement with what is to be bound, each a value or the text that an earlier step returned. */
export interface Statement {
  readonly sql: string;
  readonly params: readonly ({ readonly value: Value } | { readonly bound: Bound })[];
  /** What to call it where its parameters are refused: `steps[2].`, or nothing for a query. */
  readonly field: string;
  readonly step?: number;
}

/** What a statement gave, as the contract has it and as PostgreSQL sent it. */
export interface StatementResult {
  readonly message: StepResult;
  readonly raw: RoundResult;
  readonly columns: readonly PgType[];
}

export interface StatementRun {
  readonly borrowed: Borrowed;
  readonly catalog: Catalog;
  readonly limits: DbProxyLimits;
}

/**
 * Runs one statement: PostgreSQL is asked what types it takes the parameters for, the values are held
 * against them, and only then is it executed.
 */
export async function runStatement(statement: Statement, run: StatementRun): Promise<StatementResult> {
  const { borrowed, catalog, limits } = run;
  const described = await describe(statement, run);
  const typesOf = (oids: readonly number[]): PgType[] => oids.map((oid) => catalog.typeOf(oid));
  const values = bindAll(statement, typesOf(described.paramTypes));
  const raw = await executed(statement, () =>
    borrowed.round((connection) => {
      connection.bind({ statement: "", values }, true);
      connection.execute({ rows: String(limits.maxRows + 1) }, true);
    }),
  );
  if (raw.rows.length > limits.maxRows) {
    throw tooLarge(statement, `The result has more than ${limits.maxRows} rows`);
  }
  const columns = typesOf(described.fields.map((field) => field.dataTypeID));
  const message = create(StepResultSchema, {
    changes: changesOf(raw.tag),
    columns: described.fields.map(({ name }, index) => ({ name, type: columns[index]?.name ?? "unknown" })),
    rows: raw.rows.map((row) =>
      create(RowSchema, { values: row.map((text, index) => decodeValue(text, columns[index] ?? TEXT)) }),
    ),
  });
  return { message, raw: { ...raw, fields: described.fields }, columns };
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

async function executed(statement: Statement, execute: () => Promise<RoundResult>): Promise<RoundResult> {
  try {
    return await execute();
  } catch (error) {
    if (!(error instanceof RoundTooLargeError)) throw error;
    throw tooLarge(statement, "The result has more bytes than an answer may have");
  }
}

function tooLarge({ step }: Statement, what: string): HandlerError {
  const message = `${what}: ask for less at a time.`;
  return new HandlerError({ reason: "RESULT_TOO_LARGE", message, ...(step === undefined ? {} : { step }) });
}

function bindAll({ params, field, step }: Statement, types: readonly PgType[]): Bound[] {
  if (params.length !== types.length) {
    const why = `has ${params.length} values for the ${types.length} parameters of the statement`;
    throw invalid({ field: `${field}params`, step, why });
  }
  return params.map((param, index) => {
    if ("bound" in param) return param.bound;
    try {
      return encodeParam(param.value, types[index] ?? TEXT);
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
