import { parseDatabaseUrl } from "@tandem/postgres";
import { type ProcessConfig, readProcessConfig, Settings } from "@tandem/rpc";

/** What the gateway is told by its environment; docs/configuration.md lists the variables. */
export interface GatewayConfig extends ProcessConfig {
  /** The app role's. */
  readonly databaseUrl: string;
  /** The owner role's. */
  readonly migrationUrl: string;
  readonly assistantAddress: string;
  /** How long a starting gateway waits for the assistant to be ready. */
  readonly peerTimeoutMs: number;
}

/** Fails with a SettingError that names the variable. */
export function readGatewayConfig(environment = process.env): GatewayConfig {
  const settings = new Settings(environment);
  return {
    ...readProcessConfig(settings, { listen: "127.0.0.1:7401" }),
    databaseUrl: settings.checked("TANDEM_DATABASE_URL", parseDatabaseUrl),
    migrationUrl: settings.checked("TANDEM_MIGRATION_URL", parseDatabaseUrl),
    assistantAddress: settings.address("TANDEM_ASSISTANT_ADDRESS", "127.0.0.1:7402"),
    peerTimeoutMs: settings.integer("TANDEM_PEER_TIMEOUT_MS", { byDefault: 60_000, min: 0, max: 3_600_000 }),
  };
}
