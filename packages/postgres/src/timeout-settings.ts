/** How long a transaction and each of its statements may take. */
export interface Timeouts {
  readonly statementMs: number;
  readonly transactionMs: number;
}

/** Statements that set the timeouts of the transaction that has just begun. */
export function timeoutSettings({ statementMs, transactionMs }: Timeouts): readonly string[] {
  return [
    `SET LOCAL statement_timeout = ${statementMs}`,
    // PostgreSQL leaves a running timer as it is when its setting changes; it has to be stopped first.
    "SET LOCAL transaction_timeout = 0",
    `SET LOCAL transaction_timeout = ${transactionMs}`,
  ];
}
