import { timestampDate } from "@bufbuild/protobuf/wkt";
import type {
  QueryResponse,
  TransactionResponse,
  StepResult as WireResult,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { MalformedAnswerError } from "./malformed-answer-error.ts";
import type { RowOf, UntypedRow } from "./statement.ts";
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
  stepCount: number,
): TransactionResult<Steps> {
  const { results, replayed, rowsOmitted, committedAt, writeToken } = response;
  if (results.length !== stepCount) {
    throw new MalformedAnswerError(`the answer has ${results.length} results for ${stepCount} steps`);
  }
  return {
    // As many as there are steps; what is in their rows is what the caller said of each statement.
    results: results.map(toStepResult) as TransactionResult<Steps>["results"],
    replayed,
    rowsOmitted,
    committedAt: committedAt === undefined ? undefined : timestampDate(committedAt),
    writeToken,
  };
}

/** @throws MalformedAnswerError */
export function toQueryResult<Row extends object>(
  response: Pick<QueryResponse, "columns" | "rows">,
): QueryResult<Row> {
  const columns = response.columns.map(({ name, type }) => ({ name, type }));
  const rows = response.rows.map(({ values }) => {
    if (values.length !== columns.length) {
      throw new MalformedAnswerError(`the answer has ${values.length} values for ${columns.length} columns`);
    }
    // The caller said, where the statement was made, what its rows hold.
    return Object.fromEntries(values.map((value, index) => [columns[index]?.name, fromValue(value)])) as Row;
  });
  return { columns, rows };
}

function toStepResult(result: WireResult): StepResult {
  return { changes: result.changes, ...toQueryResult<UntypedRow>(result) };
}
