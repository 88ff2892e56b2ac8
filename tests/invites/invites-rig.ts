import { randomUUID } from "node:crypto";
import { type Contact, Contacts } from "@tandem/contract/tandem/gateway/v1/contacts";
import { Invites } from "@tandem/contract/tandem/gateway/v1/invites";
import type { Invite, InviteSecrets } from "@tandem/contract/tandem/invite/v1/invite";
import { type Channel, type Client, createChannel, createClient, HandlerError } from "@tandem/rpc";
import { runSql, waitFor } from "@tandem/testkit";
import { expect } from "vitest";
import { createPair, type Pair, type Service } from "../pair.ts";

type InvitesClient = Client<typeof Invites>;
type NewInvite = NonNullable<Parameters<InvitesClient["createInvite"]>[0]["invite"]>;
type Row = Readonly<Record<string, unknown>>;
export type Side = "assistant" | "gateway";
export const sides = ["assistant", "gateway"] as const;

/** The gateway's Invites, with both services as they are run. */
export interface InvitesRig extends AsyncDisposable {
  readonly invites: InvitesClient;
  readonly contacts: Client<typeof Contacts>;
  readonly pair: Pair;
  readonly assistant: Service;
  /** Another gateway on the same database. */
  startGateway(environment?: Readonly<Record<string, string>>): Promise<Service>;
  /** Says in both databases who decides: nothing that they hold is moved. The gateway finds out when it writes. */
  setAuthority(side: Side): Promise<void>;
  /** The same; the gateway knows. */
  letDecide(side: Side): Promise<void>;
  createContact(channels?: readonly { type: string; address: string }[]): Promise<Contact>;
  create(invite: NewInvite): Promise<{ readonly invite: Invite; readonly secrets: InviteSecrets }>;
  get(id: string): Promise<Invite>;
  /** The channel at an address in the database that decides, as it is there. */
  channelAt(type: string, address: string): Promise<Row | undefined>;
  /** Runs SQL as a superuser in the database that decides. */
  inDatabase(text: string): Promise<readonly Row[]>;
  /** Its table of invites. */
  table(): string;
}

export async function createInvitesRig(): Promise<InvitesRig> {
  await using parts = new AsyncDisposableStack();
  const pair = parts.use(await createPair());
  const assistant = await pair.startAssistant();
  const startGateway: InvitesRig["startGateway"] = async (environment = {}) => {
    const gateway = await pair.startGateway({
      TANDEM_ASSISTANT_ADDRESS: await assistant.dbProxyAddress(),
      TANDEM_CONTACTS_CALLERS: "gateway",
      TANDEM_INVITES_CALLERS: "gateway",
      ...environment,
    });
    await gateway.serving();
    return gateway;
  };
  const gateway = await startGateway();
  const channel: Channel = createChannel({ address: await gateway.address() });
  parts.defer(() => channel.close());
  const contacts = createClient(Contacts, channel);
  const invites = createClient(Invites, channel);
  let deciding: Side = "assistant";
  const inDatabase = (text: string) => runSql(pair[deciding].url, text);
  const setAuthority = async (side: Side): Promise<void> => {
    for (const { url } of [pair.assistant, pair.gateway]) {
      await runSql(url, `UPDATE tandem.authority SET authority = '${side}'`);
    }
    deciding = side;
  };
  const createContact: InvitesRig["createContact"] = async (channels = []) => {
    const { contact } = await contacts.upsertContact({ displayName: "Ada", channels: [...channels] });
    return contact ?? expect.fail("There is no contact in the answer.");
  };
  const running = parts.move();
  return {
    invites,
    contacts,
    pair,
    assistant,
    startGateway,
    setAuthority,
    letDecide: async (side) => {
      await setAuthority(side);
      // For a while the gateway believes what it read before; what it writes then is refused, and corrects it.
      await waitFor(() => createContact(), { describe: `the ${side} to decide` });
    },
    createContact,
    create: async (invite) => {
      const created = await invites.createInvite({ invite });
      return {
        invite: created.invite ?? expect.fail("There is no invite in the answer."),
        secrets: created.secrets ?? expect.fail("There are no secrets in the answer."),
      };
    },
    get: async (id) => {
      const { invite } = await invites.getInvite({ id });
      return invite ?? expect.fail("There is no invite in the answer.");
    },
    channelAt: async (type, address) => {
      const text = `SELECT * FROM contact_channels WHERE type = '${type}' AND address = '${address}'`;
      return (await inDatabase(text))[0];
    },
    inDatabase,
    table: () => (deciding === "gateway" ? "ingress_invites" : "assistant_ingress_invites"),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** What a call came to: its answer, or the reason why it was refused. */
export async function reasonOf(calling: Promise<unknown>): Promise<string> {
  return calling.then(
    () => "OK",
    (error: unknown) => (error instanceof HandlerError ? error.reason : String(error)),
  );
}

/** Something that no other test has: `%` is replaced. */
export function unique(form: string): string {
  return form.replace("%", randomUUID().slice(0, 13));
}

export function uniqueNumber(): string {
  return `+49${String(Math.floor(Math.random() * 1e10)).padStart(10, "1")}`;
}

/** A code that is not this one. */
export function otherThan(code: string): string {
  return String((Number(code) + 1) % 10 ** code.length).padStart(code.length, "0");
}
