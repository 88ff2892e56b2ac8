import { fileURLToPath } from "node:url";

/** Where this service's migrations are, for `migrate`. */
export function migrationsFolder(): string {
  return fileURLToPath(new URL("../../migrations", import.meta.url));
}
