import postgres from "postgres";

/**
 * Runs one statement over a connection of its own, which is closed before this resolves.
 *
 * @param text is sent as it is: nothing that a test did not write itself belongs in it
 */
export async function runSql(url: string, text: string): Promise<readonly Record<string, unknown>[]> {
  // The driver asks for types in a query of its own, whose failure nobody would catch.
  const sql = postgres(url, { max: 1, onnotice: () => undefined, connect_timeout: 5, fetch_types: false });
  try {
    return [...(await sql.unsafe(text))];
  } finally {
    await sql.end({ timeout: 1 });
  }
}
