import { fileURLToPath } from "node:url";
import { receiptsMigrationsFolder } from "@tandem/postgres";

/** Everything that `migrate` applies, in order: the receipts' tables, then this service's own. */
export function migrationsFolders(): readonly string[] {
  return [receiptsMigrationsFolder(), migrationsFolder()];
}

/** Where this service's own migrations are. */
export function migrationsFolder(): string {
  return fileURLToPath(new URL("../../migrations", import.meta.url));
}
