import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedServer, startEmbeddedServer } from "@tandem/embedded";

/** A PostgreSQL server of one suite's own that can crash and come back with the same data on the same port. */
export interface CrashableServer extends AsyncDisposable {
  readonly port: number;
  /** The superuser's connection string. */
  readonly adminUrl: string;
  /** Kills it (-9, the postmaster), and resolves when none of its processes is left. */
  crash(): Promise<void>;
  /** Starts it after a crash, and resolves when it has recovered and accepts connections. */
  restart(): Promise<void>;
}

/**
 * Starts one in a temporary folder. Unlike the server that the test run shares, it loses nothing that was
 * committed when it crashes.
 *
 * @param settings PostgreSQL's, by name
 */
export async function startCrashableServer(
  settings: Readonly<Record<string, string>> = {},
): Promise<CrashableServer> {
  const folder = await mkdtemp(join(tmpdir(), "tandem-crash-"));
  // The server may have to run as another user, who must get through to its data.
  await chmod(folder, 0o711);
  const start = (port: number): Promise<EmbeddedServer> =>
    startEmbeddedServer({ dataFolder: join(folder, "postgres"), port, settings });
  let server = await start(0);
  const { port, adminUrl, dataFolder } = server;
  return {
    port,
    adminUrl,
    crash: () => server.kill(),
    restart: async () => {
      server = await start(port);
    },
    async [Symbol.asyncDispose]() {
      await server.stop();
      await rm(dataFolder, { recursive: true, force: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
}
