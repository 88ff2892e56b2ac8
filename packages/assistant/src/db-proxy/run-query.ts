import { EncodedMessage, HandlerError } from "@tandem/rpc";
import { attempt } from "./attempt.ts";
import { withBeliefs } from "./beliefs.ts";
import { ROLLBACK } from "./lease.ts";
import { SILENCE_MS } from "./limits.ts";
import { runSteps } from "./run-steps.ts";
import { assertFits, type Caller, type Executor } from "./run-transaction.ts";
import { beginning, timeLeft } from "./timeouts.ts";
import { checkParamCount, parseStatement, parseTimeout, type RequestRules } from "./transaction-request.ts";
import type { GivenQuery } from "./wire/given.ts";
import { writingQueryResponse } from "./wire/write-results.ts";
import { requirePrimary, waitForToken } from "./write-token.ts";

/** Gives a QueryResponse. Runs one SELECT in a read-only transaction, on a server that has the write which the token stands for. */
export async function runQuery(
  request: GivenQuery,
  executor: Executor,
  { caller, rules }: { readonly caller: Caller; readonly rules: RequestRules },
): Promise<EncodedMessage> {
  const { connections, limits, slices, writer } = executor;
  const { signal, deadline } = caller;
  const runnable = await parseStatement(request.statement, { field: "", use: "query", signal }, rules);
  checkParamCount(request.params.length, { field: "", limits });
  const statementTimeoutMs = parseTimeout(
    request.statementTimeout,
    "statement_timeout",
    limits.statementTimeoutMs,
  );
  return connections.withConnection(signal, async (borrowed) => {
    const transactionMs = timeLeft(limits.transactionTimeoutMs, deadline);
    borrowed.giveUpAfter(transactionMs + SILENCE_MS);
    if (request.primary) await attempt(signal, undefined, () => requirePrimary(borrowed));
    if (request.atLeastAsFresh !== "") {
      const wait = { untilMs: Date.now() + transactionMs, signal };
      await attempt(signal, undefined, () => waitForToken(borrowed, request.atLeastAsFresh, wait));
    }
    const steps = [
      {
        runnable,
        params: request.params,
        minChanges: undefined,
        maxChanges: undefined,
      },
    ];
    const opening = beginning(
      "BEGIN READ ONLY",
      { statementMs: statementTimeoutMs, transactionMs: limits.transactionTimeoutMs },
      limits,
    );
    const work = { opening, steps, closing: [ROLLBACK], placeOf: () => ({ field: "", step: undefined }) };
    const run = { ...executor, borrowed, signal };
    const [result] = await withBeliefs(run, (careful) => runSteps(work, { ...run, careful })).catch(
      (error: unknown) => {
        throw isWriteInQuery(error) ? notAllowed() : error;
      },
    );
    const { columns = [], rows = [] } = result ?? {};
    const encoded = await slices.run(writer.writing((into) => writingQueryResponse(into, { columns, rows })));
    assertFits(encoded.byteLength, limits);
    return new EncodedMessage(encoded);
  });
}

// 25006, which elsewhere says that this server is a standby, is here about the query: we made it read-only.
function isWriteInQuery(error: unknown): boolean {
  return error instanceof HandlerError && error.database?.sqlstate === "25006";
}

function notAllowed(): HandlerError {
  return new HandlerError({
    reason: "STATEMENT_NOT_ALLOWED",
    message: "A query reads: this one would write.",
  });
}
