import { createHash } from "node:crypto";
import type { Borrowed } from "./lease.ts";

// As many rows as the table has.
const SLOTS = 16_384;

/**
 * Locks the row of a serialization_key until the transaction ends. An UPDATE, not only a lock: a transaction
 * with a snapshot of its own that had to wait then fails with 40001 and is run again, on what the one before
 * it has left.
 */
export async function lockWriteKey(borrowed: Borrowed, key: string): Promise<void> {
  const slot = createHash("sha256").update(key).digest().readUInt16BE(0) % SLOTS;
  await borrowed.round((connection) => {
    const text = "UPDATE tandem.write_keys SET uses = uses + 1 WHERE slot = $1::integer";
    connection.parse({ name: "", text, types: [] }, true);
    connection.bind({ values: [String(slot)] }, true);
    connection.execute({}, true);
  });
}
