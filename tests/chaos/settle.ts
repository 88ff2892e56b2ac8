import { createDbProxy, type Receipt } from "@tandem/dbproxy";
import { waitFor } from "@tandem/testkit";

/** The answers that a fence can give of an id that is not old. */
export type FinalReceipt = Extract<Receipt, { readonly state: "committed" | "refused" }>;

/** Settles for good, when nothing is broken any more, what became of requests of whose end nobody was told. */
export async function settle(
  address: string,
  requestIds: readonly string[],
): Promise<ReadonlyMap<string, FinalReceipt>> {
  const db = createDbProxy({ address, timeoutMs: 10_000 });
  const settled = new Map<string, FinalReceipt>();
  try {
    // Both processes are there, but not every connection between them is made again.
    await waitFor(() => db.probe(), { describe: "the assistant to answer", timeoutMs: 20_000 });
    for (const requestId of requestIds) {
      const receipt = await db.receipt(requestId, { fence: true });
      const { state } = receipt;
      if (state === "not found" || state === "expired")
        throw new Error(`The fence of ${requestId}: ${state}.`);
      settled.set(requestId, receipt);
    }
    return settled;
  } finally {
    db.close();
  }
}
