import { Contacts } from "@tandem/contract/tandem/gateway/v1/contacts";
import { Invites } from "@tandem/contract/tandem/gateway/v1/invites";
import { type Channel, createChannel, createClient } from "@tandem/rpc";
import { createDatabase, type Database } from "@tandem/postgres";
import { setTimeout as delay } from "node:timers/promises";

/** Where an invite is shown in. */
export interface Shown {
  /** The gateway's. */
  readonly address: string;
  /** Where the gateway's is, as which it calls. */
  readonly certificates: string;
  /** Of the two databases, by roles that may read. */
  readonly databaseUrls: { readonly gateway: string; readonly assistant: string };
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
}

const MIRRORED_WITHIN_MS = 5_000;
const POLL_MS = 20;

/** Creates an invite and redeems it, and prints what both databases have of it. Nothing depends on it: a failure is printed. */
export async function showInvites(options: Shown): Promise<void> {
  const { address, certificates, databaseUrls, print } = options;
  const channel: Channel = createChannel({
    address,
    tls: {
      authorityFile: `${certificates}/authority/certificate.pem`,
      certificateFile: `${certificates}/gateway/certificate.pem`,
      keyFile: `${certificates}/gateway/key.pem`,
      peer: "gateway",
    },
  });
  const open = (url: string): Database =>
    createDatabase({ url, applicationName: "tandem-example", poolSize: 1 });
  const [assistant, gateway] = [open(databaseUrls.assistant), open(databaseUrls.gateway)];
  try {
    await show(channel, { assistant, gateway, print, signal: options.signal });
  } catch (error) {
    print(String(error));
  } finally {
    channel.close();
    await Promise.all([assistant.close(), gateway.close()]);
  }
}

async function show(
  channel: Channel,
  parts: Pick<Shown, "print" | "signal"> & { readonly assistant: Database; readonly gateway: Database },
): Promise<void> {
  const { assistant, gateway, print, signal } = parts;
  const contacts = createClient(Contacts, channel);
  const invites = createClient(Invites, channel);
  const { contact } = await contacts.upsertContact({ displayName: "Grace" }, { signal });
  const contactId = contact?.id ?? "";
  const invite = { contactId, sourceChannel: "telegram" };
  const created = await invites.createInvite({ invite }, { signal });
  const id = created.invite?.id ?? "";
  const printBoth = async (version: bigint): Promise<void> => {
    const decided = await stateOf(assistant, id, version, signal);
    print(`  ${decided.padEnd(COLUMN)}${await stateOf(gateway, id, version, signal)}`);
  };
  print(`an invite for ${contact?.displayName}, with the code ${created.secrets?.code}`);
  print(`  ${"assistant".padEnd(COLUMN)}gateway`);
  await printBoth(1n);
  const secret = { case: "code", value: created.secrets?.code ?? "" } as const;
  const redemption = { secret, sourceChannel: "telegram", externalUserId: `grace-${id.slice(-8)}` };
  await invites.redeemInvite(redemption, { signal });
  print("redeemed");
  await printBoth(2n);
}

const COLUMN = 34;

/** Of the version, as soon as it is there. */
async function stateOf({ sql }: Database, id: string, version: bigint, signal: AbortSignal): Promise<string> {
  const until = Date.now() + MIRRORED_WITHIN_MS;
  for (;;) {
    // Both services call their table as they like.
    const [table] = await sql<{ own: boolean }>`SELECT to_regclass('ingress_invites') IS NOT NULL AS own`;
    const rows = table?.own
      ? await sql<InviteState>`SELECT version, status, use_count, max_uses FROM ingress_invites WHERE id = ${id}`
      : await sql<InviteState>`SELECT version, status, use_count, max_uses FROM assistant_ingress_invites WHERE id = ${id}`;
    const [row] = rows;
    if (row !== undefined && row.version >= version) {
      return `${row.status}, ${row.use_count} of ${row.max_uses} uses, version ${row.version}`;
    }
    if (Date.now() > until) return "not there yet";
    await delay(POLL_MS, undefined, { signal });
  }
}

interface InviteState {
  readonly version: bigint;
  readonly status: string;
  readonly use_count: number;
  readonly max_uses: number;
}
