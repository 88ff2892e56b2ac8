import { fileURLToPath } from "node:url";
import { mirrorMigrationsFolder, receiptsMigrationsFolder } from "@tandem/postgres";

/** Everything that `migrate` applies, in order: what receipts and mirrored tables need, then this service's own. */
export function migrationsFolders(): readonly string[] {
  return [receiptsMigrationsFolder(), mirrorMigrationsFolder(), migrationsFolder()];
}

/** Where this service's own migrations are. */
export function migrationsFolder(): string {
  return fileURLToPath(new URL("../../migrations", import.meta.url));
}
