import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import type { ResultRows } from "./connection.ts";
import type { Sql } from "postgres";
import type { RunStatement } from "./sql.ts";

/** drizzle's query builder. Transactions are the database's own: drizzle's would run on the pool of `postgres`. */
export type Queries = Omit<PostgresJsDatabase, "transaction" | "$client" | "_">;

/** drizzle, on whatever runs its statements. It fails with drizzle's error around what `Sql` fails with. */
export function createQueries(run: RunStatement): Queries {
  const client = {
    // drizzle changes how its client reads and writes values; what the connections do of that fits it as it is.
    options: { parsers: {}, serializers: {} },
    unsafe: (text: string, values: readonly unknown[] = [], { prepare = false } = {}) => {
      let rowsAsArrays = false;
      // Where drizzle wants arrays, it says so right after this call.
      const rows = Promise.resolve().then(() => run({ text, values, prepare, rowsAsArrays }));
      const asArrays = (): Promise<ResultRows> => {
        rowsAsArrays = true;
        return rows;
      };
      return Object.assign(rows, { values: asArrays });
    },
  };
  // It is what drizzle uses of a client of `postgres`, transactions apart, which `Queries` doesn't offer.
  return drizzle({ client: client as object as Sql });
}
