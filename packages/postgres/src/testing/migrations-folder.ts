import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder as drizzle-kit leaves it. */
export interface MigrationsFolder {
  readonly path: string;
  /** Writes the files anew: SQL by name, in order. */
  write(migrations: Readonly<Record<string, string>>): Promise<void>;
  remove(): Promise<void>;
}

/** A temporary folder of migrations. Whoever made it removes it. */
export async function createMigrationsFolder(): Promise<MigrationsFolder> {
  const path = await mkdtemp(join(tmpdir(), "tandem-migrations-"));
  await mkdir(join(path, "meta"));
  return {
    path,
    write: async (migrations) => {
      const names = Object.keys(migrations);
      const entries = names.map((tag, idx) => ({ idx, tag, version: "7", when: idx + 1, breakpoints: true }));
      await writeFile(join(path, "meta", "_journal.json"), JSON.stringify({ version: "7", entries }));
      for (const [name, sql] of Object.entries(migrations)) await writeFile(join(path, `${name}.sql`), sql);
    },
    remove: () => rm(path, { recursive: true, force: true }),
  };
}
