import { readInviteKeysFile } from "@tandem/invites";
import { parseDatabaseUrl } from "@tandem/postgres";
import {
  type ChannelIdentityOptions,
  type ProcessConfig,
  readCallers,
  readPeerIdentity,
  readProcessConfig,
  Settings,
} from "@tandem/rpc";

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
  /** Who may create invites here, and compare them: the policy says nothing of that. */
  readonly ingressCallers: readonly string[];
  /** Where the gateway listens: what is decided here is brought there. */
  readonly gatewayAddress: string;
  /** How the assistant shows the gateway who it is, and makes sure of it. */
  readonly gatewayIdentity: ChannelIdentityOptions;
  /** The keys by which invites' secrets are made and found: the same as the gateway's. */
  readonly inviteKeysFile: string;
}

/** Fails with a SettingError that names the variable. */
export function readAssistantConfig(environment = process.env): AssistantConfig {
  const settings = new Settings(environment);
  const common = readProcessConfig(settings, { listen: "127.0.0.1:7402" });
  const { identity } = common;
  const address = settings.address("TANDEM_GATEWAY_ADDRESS", "127.0.0.1:7401");
  return {
    ...common,
    dbProxyListen: settings.address("TANDEM_DBPROXY_LISTEN", "127.0.0.1:7403"),
    databaseUrl: settings.checked("TANDEM_DATABASE_URL", parseDatabaseUrl),
    migrationUrl: settings.checked("TANDEM_MIGRATION_URL", parseDatabaseUrl),
    dbProxyUrl: settings.checked("TANDEM_DBPROXY_URL", parseDatabaseUrl),
    policyFile: settings.optional("TANDEM_POLICY_FILE"),
    ingressCallers: readCallers(settings, "TANDEM_INGRESS_CALLERS", "gateway"),
    gatewayAddress: address,
    gatewayIdentity: readPeerIdentity(settings, {
      prefix: "TANDEM_GATEWAY",
      name: "gateway",
      address,
      identity,
    }),
    inviteKeysFile: readInviteKeysFile(settings),
  };
}
