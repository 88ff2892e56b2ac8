// A process that makes a transaction and has nothing more to do: node leaving-process.ts ADDRESS STREAMS
import { createDbProxy } from "../create-db-proxy.ts";
import { sql } from "../sql.ts";

const [address = "", streams] = process.argv.slice(2);
const db = createDbProxy({ address, streams: streams === "true" });
await db.transaction([sql`SELECT 1`]);
await db.transaction([sql`SELECT 2`]);
process.stdout.write("done\n");
