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

/** What the gateway is told by its environment; docs/configuration.md lists the variables. */
export interface GatewayConfig extends ProcessConfig {
  /** The app role's. */
  readonly databaseUrl: string;
  /** The owner role's. */
  readonly migrationUrl: string;
  /** Where the assistant's DbProxy listens. */
  readonly assistantAddress: string;
  /** How the gateway shows the assistant who it is, and makes sure of it. */
  readonly assistantIdentity: ChannelIdentityOptions;
  /** How long a starting gateway waits for the assistant to be ready. */
  readonly peerTimeoutMs: number;
  /** Who may call Contacts. */
  readonly contactsCallers: readonly string[];
  /** Who may call Invites. */
  readonly invitesCallers: readonly string[];
  /** Who may compare the two databases, repair the mirror and move the authority. */
  readonly cutoverCallers: readonly string[];
  /** Who brings what the assistant decides. */
  readonly mirrorCallers: readonly string[];
  /** The keys by which invites' secrets are made and found: the same as the assistant's. */
  readonly inviteKeysFile: string;
}

/** Fails with a SettingError that names the variable. */
export function readGatewayConfig(environment = process.env): GatewayConfig {
  const settings = new Settings(environment);
  const common = readProcessConfig(settings, { listen: "127.0.0.1:7401" });
  const { identity } = common;
  const address = settings.address("TANDEM_ASSISTANT_ADDRESS", "127.0.0.1:7403");
  const assistant = { prefix: "TANDEM_ASSISTANT", name: "assistant", address, identity };
  return {
    ...common,
    databaseUrl: settings.checked("TANDEM_DATABASE_URL", parseDatabaseUrl),
    migrationUrl: settings.checked("TANDEM_MIGRATION_URL", parseDatabaseUrl),
    assistantAddress: address,
    assistantIdentity: readPeerIdentity(settings, assistant),
    peerTimeoutMs: settings.integer("TANDEM_PEER_TIMEOUT_MS", { byDefault: 60_000, min: 0, max: 3_600_000 }),
    contactsCallers: readCallers(settings, "TANDEM_CONTACTS_CALLERS"),
    invitesCallers: readCallers(settings, "TANDEM_INVITES_CALLERS"),
    cutoverCallers: readCallers(settings, "TANDEM_CUTOVER_CALLERS"),
    mirrorCallers: readCallers(settings, "TANDEM_MIRROR_CALLERS", "assistant"),
    inviteKeysFile: readInviteKeysFile(settings),
  };
}
