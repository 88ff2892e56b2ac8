import { translateDatabaseError } from "@tandem/postgres";
import { createHash } from "node:crypto";
import type { Borrowed } from "./lease.ts";
import type { DbProxyLimits } from "./limits.ts";

// As many rows as the table has.
const SLOTS = 16_384;

/**
 * Begins a transaction whose first statement locks the row of a serialization_key, until the transaction ends.
 * Where another one had the key, a snapshot that was taken before it came free is of no use: then it is begun
 * anew, nothing of it having run.
 */
export async function beginWithKey(
  borrowed: Borrowed,
  key: string,
  { begin, limits }: { readonly begin: () => Promise<void>; readonly limits: DbProxyLimits },
): Promise<void> {
  const until = Date.now() + limits.lockTimeoutMs;
  for (;;) {
    await begin();
    try {
      await lock(borrowed, key);
      return;
    } catch (error) {
      const stale = translateDatabaseError(error).reason === "SERIALIZATION_FAILURE";
      if (!stale || Date.now() >= until) throw error;
    }
    await borrowed.run("ROLLBACK");
  }
}

// An UPDATE, not only a lock: to a transaction with a snapshot of its own, a row that was only locked looks as
// if nobody had been there.
async function lock(borrowed: Borrowed, key: string): Promise<void> {
  const slot = createHash("sha256").update(key).digest().readUInt16BE(0) % SLOTS;
  const text = "UPDATE tandem.write_keys SET uses = uses + 1 WHERE slot = $1::integer";
  await borrowed.runAll([{ text, values: [String(slot)] }]);
}
