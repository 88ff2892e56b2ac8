import { createReceipts, type Patience, type Receipts } from "@tandem/postgres";
import type { Logger, TimeSlices } from "@tandem/rpc";
import { createAdmission, createWaitingRoom } from "./admission.ts";
import { createConnections } from "./connections.ts";
import type { Borrowed } from "./lease.ts";
import { type DbProxyLimits, SILENCE_MS } from "./limits.ts";
import { readingToken } from "./write-token.ts";

/** Connections of their own, so that a request can be settled however busy or broken the others are. */
export interface Settling extends AsyncDisposable {
  readonly receipts: Receipts;
  /** The token of everything that is committed now; "" where it can't be had. */
  writeToken(patience: Patience): Promise<string>;
}

export function createSettling(options: {
  readonly url: string;
  readonly limits: DbProxyLimits;
  readonly slices: TimeSlices;
  readonly logger: Logger;
}): Settling {
  const { settlePoolSize, settleTimeoutMs, maxWaiting, statementTimeoutMs } = options.limits;
  const limits = { ...options.limits, poolSize: settlePoolSize };
  const connections = createConnections({ ...options, limits });
  const admission = createAdmission({ maxRunning: settlePoolSize, room: createWaitingRoom(maxWaiting) });
  const use = <T>(patience: Patience, work: (borrowed: Borrowed) => Promise<T>): Promise<T> =>
    admission.run(patience, () =>
      connections.withConnection(patience.signal, async (borrowed) => {
        borrowed.giveUpAfter(statementTimeoutMs + SILENCE_MS);
        borrowed.letRun();
        return work(borrowed);
      }),
    );
  return {
    receipts: createReceipts({
      timeoutMs: settleTimeoutMs,
      run: (statement, patience) => use(patience, (borrowed) => borrowed.runAll([statement])),
    }),
    writeToken: (patience) =>
      use(patience, async (borrowed) => {
        const { statement, toToken } = readingToken(borrowed.session);
        return toToken(await borrowed.runAll([statement]));
      }).catch(
        // The answer itself is known: it is given without.
        () => "",
      ),
    [Symbol.asyncDispose]: () => connections.close(),
  };
}
