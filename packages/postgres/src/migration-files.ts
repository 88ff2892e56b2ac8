import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readMigrationFiles } from "drizzle-orm/migrator";
import { MigrationError } from "./migration-error.ts";

/** One committed migration: what drizzle-kit wrote, or a person by its side. */
export interface Migration {
  /** The file's name without its ending: "0000_contacts". */
  readonly name: string;
  /** SHA-256 of the file. */
  readonly hash: string;
  readonly statements: readonly string[];
}

/**
 * Reads a folder of drizzle-kit's, in the order in which the migrations were made. Refuses a statement that
 * would begin or end a transaction: all the migrations run in one.
 */
export async function readMigrations(folder: string): Promise<readonly Migration[]> {
  try {
    // drizzle reads all but the names, in the journal's order.
    const names = parseJournal(await readFile(join(folder, "meta", "_journal.json"), "utf8"));
    const files = readMigrationFiles({ migrationsFolder: folder });
    return files.map(({ hash, sql }, index) => {
      const name = names[index] ?? "";
      const statements = sql.filter((statement) => statement.trim() !== "");
      for (const statement of statements) refuseTransactionControl(name, statement);
      return { name, hash, statements };
    });
  } catch (cause) {
    if (cause instanceof MigrationError) throw cause;
    const problem = cause instanceof Error ? cause.message : "unknown error";
    const message = `The migrations in ${folder} can't be read: ${problem}.`;
    throw new MigrationError({ failure: "UNREADABLE", message, cause });
  }
}

function parseJournal(text: string): readonly string[] {
  const journal: unknown = JSON.parse(text);
  const entries = hasEntries(journal) ? journal.entries : [];
  return entries.map((entry) => (hasTag(entry) ? entry.tag : ""));
}

function refuseTransactionControl(name: string, statement: string): void {
  const withoutComments = statement.replaceAll(/^(\s|--[^\n]*(\n|$)|\/\*[^]*?\*\/)+/g, "");
  const [keyword] = /^[a-z]+/i.exec(withoutComments) ?? [""];
  const control = ["begin", "start", "commit", "end", "rollback", "abort", "prepare", "savepoint", "release"];
  if (!control.includes(keyword.toLowerCase())) return;
  const message = `Migration ${name} has a statement ${keyword.toUpperCase()}: all migrations run in one transaction.`;
  throw new MigrationError({ failure: "UNREADABLE", message });
}

function hasEntries(value: unknown): value is { readonly entries: readonly unknown[] } {
  return typeof value === "object" && value !== null && "entries" in value && Array.isArray(value.entries);
}

function hasTag(value: unknown): value is { readonly tag: string } {
  return typeof value === "object" && value !== null && "tag" in value && typeof value.tag === "string";
}
