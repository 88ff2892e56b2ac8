import { Client } from "pg";
import { parseDatabaseUrl } from "../database-url.ts";
import { openConnection } from "../connection.ts";

/** One connection of either driver, for tests that must hold for both. */
export interface TestConnection {
  run(statement: string, values?: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]>;
  close(): Promise<void>;
}

export const driverNames = ["postgres", "pg"] as const;

/** Opens a connection that has made no query yet. Whoever opened it closes it. */
export async function openTestConnection(
  driver: (typeof driverNames)[number],
  url: string,
): Promise<TestConnection> {
  return driver === "postgres" ? openPostgres(url) : openPg(url);
}

async function openPostgres(url: string): Promise<TestConnection> {
  try {
    const connection = await openConnection({
      address: parseDatabaseUrl(url),
      applicationName: "test",
      connectTimeoutMs: 5_000,
      preparedStatements: true,
      parameters: {},
      onNotice: () => undefined,
    });
    return {
      run: (text, values = []) => connection.run({ text, values }),
      close: () => connection.close(),
    };
  } catch (error) {
    return { run: () => Promise.reject(error), close: () => Promise.resolve() };
  }
}

async function openPg(url: string): Promise<TestConnection> {
  const client = new Client({ connectionString: url });
  // Without a listener, a lost connection ends the process.
  client.on("error", () => undefined);
  try {
    await client.connect();
  } catch (error) {
    return { run: () => Promise.reject(error), close: () => Promise.resolve() };
  }
  return {
    run: async (statement, values = []) => {
      const { rows } = await client.query<Record<string, unknown>>(statement, [...values]);
      return rows;
    },
    close: () => client.end(),
  };
}
