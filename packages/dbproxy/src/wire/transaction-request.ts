import type { Isolation, Value } from "@tandem/contract/tandem/assistant/v1/db_proxy";

/** One send of a transaction, as `encodeTransaction` writes it. What isn't set is left to the other side. */
export interface TransactionRequest {
  /** Empty where it has none. */
  readonly requestId: string;
  readonly attempt: number;
  readonly steps: readonly StepRequest[];
  readonly isolation: Isolation;
  readonly statementTimeoutMs: number | undefined;
  readonly transactionTimeoutMs: number | undefined;
  readonly validateOnly: boolean;
  readonly sourceInstanceId: string;
  /** In milliseconds since 1970. */
  readonly requestedAt: number;
  readonly serializationKey: string;
}

export interface StepRequest {
  readonly source: { readonly case: "name" | "sql"; readonly value: string };
  readonly params: readonly (Value | ResolvedReference)[];
  readonly minChanges: bigint | undefined;
  readonly maxChanges: bigint | undefined;
}

/** What an earlier step returns, by the position of that step. */
export class ResolvedReference {
  readonly step: number;
  readonly row: number;
  readonly column: string;

  constructor(to: { readonly step: number; readonly row: number; readonly column: string }) {
    this.step = to.step;
    this.row = to.row;
    this.column = to.column;
  }
}
