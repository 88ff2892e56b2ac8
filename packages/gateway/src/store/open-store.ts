import { type OpenDatabase, openDatabase } from "@tandem/postgres";
import type { ServiceStart } from "@tandem/rpc";
import type { GatewayConfig } from "../config.ts";
import { migrationsFolders } from "./migrations-folder.ts";

// Many who redeem at once wait for their turn, not one of them for long: that is no reason to refuse any.
const MAX_WAITING = 1_000;

/** Waits for the gateway's database, migrates it and connects to it. */
export async function openStore({
  config,
  logger,
  signal,
}: ServiceStart<GatewayConfig>): Promise<OpenDatabase> {
  return openDatabase({
    url: config.databaseUrl,
    migrationUrl: config.migrationUrl,
    migrationsFolders: migrationsFolders(),
    applicationName: "tandem-gateway",
    maxWaiting: MAX_WAITING,
    logger,
    signal,
  });
}
