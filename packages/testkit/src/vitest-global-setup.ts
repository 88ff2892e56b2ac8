import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedServer } from "@tandem/embedded";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** The superuser's connection string of the PostgreSQL server that the whole test run shares. */
    postgresAdminUrl: string;
  }
}

/**
 * Starts one PostgreSQL server for a whole run of vitest, in a temporary folder, and hands its address
 * to the tests. Vitest calls this before the first test and the function that it returns after the last.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "tandem-test-"));
  // The server may have to run as another user, who must get through to its data.
  await chmod(folder, 0o711);
  const server = await startEmbeddedServer({
    dataFolder: join(folder, "postgres"),
    settings: {
      max_connections: "300",
      // Nobody needs a test's data after a crash of the machine.
      fsync: "off",
      synchronous_commit: "off",
      full_page_writes: "off",
    },
  });
  project.provide("postgresAdminUrl", server.adminUrl);
  return async () => {
    await server.stop();
    await rm(server.dataFolder, { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true });
  };
}
