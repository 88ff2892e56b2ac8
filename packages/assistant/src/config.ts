import { parseDatabaseUrl } from "@tandem/postgres";
import { type ProcessConfig, readProcessConfig, Settings } from "@tandem/rpc";

/** What the assistant is told by its environment; docs/configuration.md lists the variables. */
export interface AssistantConfig extends ProcessConfig {
  /** Where DbProxy listens, and nothing else: nobody but the peers that use it has to reach it. */
  readonly dbProxyListen: string;
  /** The app role's. */
  readonly databaseUrl: string;
  /** The owner role's. */
  readonly migrationUrl: string;
  /** The dbproxy role's. */
  readonly dbProxyUrl: string;
  /** What each caller of DbProxy may do; where it isn't said, the gateway may use registered statements. */
  readonly policyFile: string | undefined;
}

/** Fails with a SettingError that names the variable. */
export function readAssistantConfig(environment = process.env): AssistantConfig {
  const settings = new Settings(environment);
  return {
    ...readProcessConfig(settings, { listen: "127.0.0.1:7402" }),
    dbProxyListen: settings.address("TANDEM_DBPROXY_LISTEN", "127.0.0.1:7403"),
    databaseUrl: settings.checked("TANDEM_DATABASE_URL", parseDatabaseUrl),
    migrationUrl: settings.checked("TANDEM_MIGRATION_URL", parseDatabaseUrl),
    dbProxyUrl: settings.checked("TANDEM_DBPROXY_URL", parseDatabaseUrl),
    policyFile: settings.optional("TANDEM_POLICY_FILE"),
  };
}
