import { fileURLToPath } from "node:url";

/** The migrations of what mirrored tables need; they come before the service's own. */
export function mirrorMigrationsFolder(): string {
  return fileURLToPath(new URL("../../mirror-migrations", import.meta.url));
}
