import { timestampDate } from "@bufbuild/protobuf/wkt";
import type {
  QueryResponse,
  TransactionResponse,
  StepResult as WireResult,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { DeclaredStatement } from "@tandem/statements";
import { resultCheck } from "./declared/check-result.ts";
import { MalformedAnswerError } from "./malformed-answer-error.ts";
import type { RowOf, Statement, UntypedRow } from "./statement.ts";
import type { GuardedStatement, Step } from "./steps.ts";
import { fromValue } from "./values/from-value.ts";

export interface Column {
  readonly name: string;
  /** PostgreSQL's own name of the type: `int8`, `text`, `timestamptz`, `_text`. */
  readonly type: string;
}

/** What a query returned. */
export interface QueryResult<Row extends object = UntypedRow> {
  /** Of every column, also where two of them share a name: a row's object has the last of those. */
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
}

/** What became of one step. */
export interface StepResult<Row extends object = UntypedRow> extends QueryResult<Row> {
  /** Rows inserted, updated, deleted or merged; for a SELECT, rows returned. */
  readonly changes: bigint;
}

/** What a transaction did. */
export interface TransactionResult<Steps extends readonly Step[]> {
  /** One for each step, in the order of the steps. */
  readonly results: { readonly [I in keyof Steps]: StepResult<RowOfStep<Steps[I]>> };
  /** True where an earlier send of the same request had committed this. */
  readonly replayed: boolean;
  /** True where a replay has lost the rows, which were too large to be kept; `changes` are there. */
  readonly rowsOmitted: boolean;
  /** Undefined where nothing was committed: `validateOnly`. */
  readonly committedAt: Date | undefined;
  /** As `atLeastAsFresh` it makes a later query see this transaction, wherever it is answered. */
  readonly writeToken: string;
}

type RowOfStep<S> = S extends GuardedStatement ? RowOf<S["statement"]> : RowOf<S>;

/** @throws MalformedAnswerError */
export function toTransactionResult<Steps extends readonly Step[]>(
  response: TransactionResponse,
  statements: readonly (Statement<object> | undefined)[],
): TransactionResult<Steps> {
  const { results, replayed, rowsOmitted, committedAt, writeToken } = response;
  if (results.length !== statements.length) {
    throw new MalformedAnswerError(`the answer has ${results.length} results for ${statements.length} steps`);
  }
  const declared = rowsOmitted ? [] : statements.map((statement) => statement?.declared());
  return {
    // As many as there are steps; what is in their rows is what was said of each statement.
    results: results.map((result, index) =>
      toStepResult(result, declared[index]),
    ) as TransactionResult<Steps>["results"],
    replayed,
    rowsOmitted,
    committedAt: committedAt === undefined ? undefined : timestampDate(committedAt),
    writeToken,
  };
}

/**
 * Of a declared statement it is held against its declaration.
 *
 * @throws MalformedAnswerError
 */
export function toQueryResult<Row extends object>(
  response: Pick<QueryResponse, "columns" | "rows">,
  declared: DeclaredStatement | undefined,
): QueryResult<Row> {
  const columns = response.columns.map(({ name, type }) => ({ name, type }));
  const check = declared && resultCheck(declared, columns);
  const rows = response.rows.map(({ values: sent }) => {
    const values = sent.map(fromValue);
    if (values.length !== columns.length) {
      throw new MalformedAnswerError(`the answer has ${values.length} values for ${columns.length} columns`);
    }
    check?.(values);
    // Where the statement was made it was said what its rows hold.
    return Object.fromEntries(values.map((value, index) => [columns[index]?.name, value])) as Row;
  });
  return { columns, rows };
}

function toStepResult(result: WireResult, declared: DeclaredStatement | undefined): StepResult {
  return { changes: result.changes, ...toQueryResult<UntypedRow>(result, declared) };
}
