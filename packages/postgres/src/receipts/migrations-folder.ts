import { fileURLToPath } from "node:url";

/** The migrations of what this package keeps in a service's database; they come before the service's own. */
export function receiptsMigrationsFolder(): string {
  return fileURLToPath(new URL("../../migrations", import.meta.url));
}
