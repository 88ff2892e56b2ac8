import { type Database, type Sql, type SqlValue, translateDatabaseError } from "@tandem/postgres";

/** The same, but that it fails with HandlerErrors: for what isn't run within a transaction, whose errors are translated. */
export function translatedSql({ sql }: Pick<Database, "sql">): Sql {
  return <T extends object>(text: TemplateStringsArray, ...values: readonly SqlValue[]) =>
    sql<T>(text, ...values).catch((error: unknown) => {
      throw translateDatabaseError(error);
    });
}
