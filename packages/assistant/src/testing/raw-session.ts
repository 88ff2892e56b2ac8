import { Client } from "pg";

/** A session of a test's own, past DbProxy. */
export interface RawSession extends AsyncDisposable {
  run(sql: string): Promise<void>;
}

export async function connectRaw(url: string): Promise<RawSession> {
  const client = new Client({ connectionString: url });
  await client.connect();
  return {
    run: async (sql) => void (await client.query(sql)),
    [Symbol.asyncDispose]: () => client.end(),
  };
}
