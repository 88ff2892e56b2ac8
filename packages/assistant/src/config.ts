import { parseDatabaseUrl } from "@tandem/postgres";
import { type ProcessConfig, readProcessConfig, Settings } from "@tandem/rpc";

/** What the assistant is told by its environment; docs/configuration.md lists the variables. */
export interface AssistantConfig extends ProcessConfig {
  /** The app role's. */
  readonly databaseUrl: string;
  /** The owner role's. */
  readonly migrationUrl: string;
  /** The dbproxy role's. */
  readonly dbProxyUrl: string;
}

/** Fails with a SettingError that names the variable. */
export function readAssistantConfig(environment = process.env): AssistantConfig {
  const settings = new Settings(environment);
  return {
    ...readProcessConfig(settings, { listen: "127.0.0.1:7402" }),
    databaseUrl: settings.checked("TANDEM_DATABASE_URL", parseDatabaseUrl),
    migrationUrl: settings.checked("TANDEM_MIGRATION_URL", parseDatabaseUrl),
    dbProxyUrl: settings.checked("TANDEM_DBPROXY_URL", parseDatabaseUrl),
  };
}
