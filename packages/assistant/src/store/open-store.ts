import { type OpenDatabase, openDatabase } from "@tandem/postgres";
import type { ServiceStart } from "@tandem/rpc";
import type { AssistantConfig } from "../config.ts";
import { migrationsFolders } from "./migrations-folder.ts";

/** Waits for the assistant's database, migrates it and connects to it. */
export async function openStore({
  config,
  logger,
  signal,
}: ServiceStart<AssistantConfig>): Promise<OpenDatabase> {
  return openDatabase({
    url: config.databaseUrl,
    migrationUrl: config.migrationUrl,
    migrationsFolders: migrationsFolders(),
    applicationName: "tandem-assistant",
    logger,
    signal,
  });
}
