import type { Database } from "./create-database.ts";
import type { Sql, SqlValue } from "./sql.ts";
import { translateDatabaseError } from "./translate-database-error.ts";

/** The same, but that it fails with HandlerErrors: for what isn't run within a transaction, whose errors are translated. */
export function translatedSql({ sql }: Pick<Database, "sql">): Sql {
  return <T extends object>(text: TemplateStringsArray, ...values: readonly SqlValue[]) =>
    sql<T>(text, ...values).catch((error: unknown) => {
      throw translateDatabaseError(error);
    });
}
