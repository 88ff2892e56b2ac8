import postgres from "postgres";

export type Row = Readonly<Record<string, unknown>>;
export type Run = (text: string, values?: readonly unknown[]) => Promise<readonly Row[]>;

/** What a scenario is played on: the pool of `postgres` as it is, or a Database; each has one connection. */
export interface Subject {
  readonly run: Run;
  transaction(
    body: (run: Run, savepoint: (body: (run: Run) => Promise<void>) => Promise<void>) => Promise<void>,
  ): Promise<void>;
  /** The same by hand, on a connection that is lent for it. */
  reserve(body: (run: Run) => Promise<void>): Promise<void>;
  /** How long what may never come is waited for. */
  readonly patienceMs: number;
}

export const subjectNames = ["postgres", "database"] as const;
export type SubjectName = (typeof subjectNames)[number];

export async function openSubject(
  name: SubjectName,
  url: string,
  options: { readonly fetchTypes: boolean } = { fetchTypes: true },
): Promise<Subject> {
  return name === "postgres" ? openPostgres(url, options.fetchTypes) : openDatabase(url);
}

/** `postgres` as its documentation has it, whatever is done about it elsewhere in this package. */
export function openPostgres(url: string, fetchTypes: boolean): Subject {
  const sql = postgres(url, { max: 1, fetch_types: fetchTypes, onnotice: () => undefined });
  return {
    run: runOn(sql),
    transaction: async (body) => {
      await sql.begin((tx) =>
        body(runOn(tx), async (nested) => {
          await tx.savepoint("named", (inner) => nested(runOn(inner)));
        }),
      );
    },
    reserve: async (body) => {
      const reserved = await sql.reserve();
      const run = runOn(reserved);
      await run("BEGIN");
      await body(run);
      await run("COMMIT");
    },
    patienceMs: 1_000,
  };
}

async function openDatabase(url: string): Promise<Subject> {
  // It takes a while, and half of the processes don't need it.
  const { createDatabase } = await import("../create-database.ts");
  const database = createDatabase({ url, applicationName: "subject", poolSize: 1, maxWaiting: 200 });
  const transaction: Subject["transaction"] = (body) =>
    database.transaction((tx) => {
      const run: Run = (text, values = []) => tx.run({ text, values, prepare: values.length > 0 });
      // There are none: what is done within one is done without.
      return body(run, (nested) => nested(run));
    });
  return {
    run: (text, values = []) => database.run({ text, values, prepare: values.length > 0 }),
    transaction,
    reserve: (body) => transaction((run) => body(run)),
    patienceMs: 10_000,
  };
}

function runOn(sql: postgres.Sql | postgres.TransactionSql | postgres.ReservedSql): Run {
  return (text, values) =>
    values === undefined
      ? sql.unsafe<Row[]>(text)
      : sql.unsafe<Row[]>(text, [...values] as string[], { prepare: true });
}
