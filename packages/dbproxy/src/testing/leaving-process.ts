// A process that makes transactions and has nothing more to do: node leaving-process.ts STREAMS ADDRESS…
import { createDbProxy } from "../create-db-proxy.ts";
import { sql } from "../sql.ts";

const [streams, ...address] = process.argv.slice(2);
const db = createDbProxy({ address, streams: streams === "true" });
// For long enough to find more than one instance.
const until = performance.now() + 300;
while (performance.now() < until) await db.transaction([sql`SELECT 1`]);
process.stdout.write("done\n");
