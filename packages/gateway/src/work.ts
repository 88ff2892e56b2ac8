import { IngressInvites } from "@tandem/contract/tandem/assistant/v1/ingress_invites";
import type { DbProxy as AssistantDb } from "@tandem/dbproxy";
import { createDbProxy } from "@tandem/dbproxy";
import { watchInviteKeys } from "@tandem/invites";
import {
  createDatabaseSide,
  createOutbox,
  createStoreReceipts,
  type Database,
  keepReceipts,
  keepTombstones,
  type MirrorSide,
  type OpenDatabase,
  startRelay,
} from "@tandem/postgres";
import { type Channel, createClient, type ServiceStart } from "@tandem/rpc";
import { agreeAtStart } from "./authority/agree-at-start.ts";
import { createAssistantDecider } from "./authority/assistant-decider.ts";
import { createDeciding } from "./authority/deciding.ts";
import { createOwnDecider } from "./authority/own-decider.ts";
import type { GatewayConfig } from "./config.ts";
import { type Contacts, createContacts } from "./contacts/contacts.ts";
import { createAttempts } from "./invites/attempts.ts";
import { createInvites, type Invites } from "./invites/invites.ts";
import { keepInvites } from "./invites/keep-invites.ts";
import { createAssistantSide } from "./mirror/assistant-side.ts";
import { mirroredToAssistant } from "./mirror/to-assistant.ts";

/** What the gateway's services work with. */
export interface Work {
  readonly contacts: Contacts;
  readonly invites: Invites;
  readonly database: Database;
  /** The gateway's own, and the assistant's. */
  readonly sides: readonly [MirrorSide, MirrorSide];
}

export interface WorkOptions {
  /** Takes what is to be ended with the gateway. */
  readonly used: AsyncDisposableStack;
  readonly store: OpenDatabase;
  readonly channel: Channel;
  readonly assistantDb: AssistantDb;
  readonly instanceId: string;
}

// How long it is tried to find out what became of a write in the gateway's own database.
const SETTLE_TIMEOUT_MS = 5_000;

/** Puts together what the services work with, and begins what goes on by itself. */
export async function beginWork(
  { config, logger, signal }: ServiceStart<GatewayConfig>,
  { used, store, channel, assistantDb, instanceId }: WorkOptions,
): Promise<Work> {
  const { database } = store;
  const sides = [createDatabaseSide("gateway", database), createAssistantSide(assistantDb)] as const;
  if (!store.standby) await agreeAtStart(sides, { logger, signal });
  // A standby takes no writes: it has no receipts to keep, and nothing to bring to the assistant.
  const relay = store.standby
    ? undefined
    : used.use(
        startRelay({ outbox: createOutbox(database), aggregates: mirroredToAssistant(assistantDb), logger }),
      );
  const written = whenCommitted(database, () => relay?.wake());
  const receipts = createStoreReceipts(database, { timeoutMs: SETTLE_TIMEOUT_MS });
  const keys = used.use(watchInviteKeys({ file: config.inviteKeysFile, logger }));
  const attempts = createAttempts(database);
  // What this client is refused by the side that doesn't decide is the deciding one's to wait out, not its own.
  const deciderDb = createDbProxy({
    channel,
    sourceInstanceId: instanceId,
    notRetried: ["NOT_AUTHORITATIVE"],
  });
  used.defer(() => deciderDb.close());
  const deciding = createDeciding({
    database,
    own: createOwnDecider({ database: written, receipts, instanceId }),
    assistant: createAssistantDecider(deciderDb),
  });
  const contacts = used.use(createContacts({ deciding, logger }));
  const invites = createInvites({
    deciding,
    database: written,
    receipts,
    attempts,
    ingress: createClient(IngressInvites, channel),
    keys: () => keys.current,
    instanceId,
  });
  if (!store.standby) {
    used.use(await keepReceipts({ database, logger, signal }));
    used.use(keepTombstones({ database, logger }));
    used.use(keepInvites({ invites, attempts, logger }));
  }
  return { contacts, invites, database, sides };
}

/** The same database; `then` is called behind each transaction that was committed. */
function whenCommitted(database: Database, then: () => void): Database {
  return {
    ...database,
    transaction: async (body, options) => {
      const result = await database.transaction(body, options);
      then();
      return result;
    },
  };
}
