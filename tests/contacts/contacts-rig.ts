import { randomUUID } from "node:crypto";
import { type Contact, type ContactChannel, Contacts } from "@tandem/contract/tandem/gateway/v1/contacts";
import { type Channel, type Client, createChannel, createClient } from "@tandem/rpc";
import { runSql, waitFor } from "@tandem/testkit";
import { expect } from "vitest";
import { createPair, type Pair, type Service } from "../pair.ts";

type ContactsClient = Client<typeof Contacts>;
type Side = "assistant" | "gateway";

/** The gateway's Contacts, with both services as they are run. */
export interface ContactsRig extends AsyncDisposable {
  readonly contacts: ContactsClient;
  readonly pair: Pair;
  readonly assistant: Service;
  /** Another gateway on the same database, whose Contacts the caller may use. */
  startGateway(assistant?: Service): Promise<Service>;
  /** Says in both databases who decides: nothing that they hold is moved. The gateway finds out when it writes. */
  setAuthority(side: Side): Promise<void>;
  /** The same; the gateway knows. */
  letDecide(side: Side): Promise<void>;
  upsert(request: Parameters<ContactsClient["upsertContact"]>[0]): Promise<Contact>;
  get(id: string): Promise<Contact>;
  update(request: Parameters<ContactsClient["updateContactChannel"]>[0]): Promise<ContactChannel>;
  createChannelOf(displayName: string): Promise<ContactChannel>;
}

export async function createContactsRig(): Promise<ContactsRig> {
  await using parts = new AsyncDisposableStack();
  const pair = parts.use(await createPair());
  const assistant = await pair.startAssistant();
  const startGateway = async (peer = assistant): Promise<Service> => {
    const gateway = await pair.startGateway({
      TANDEM_ASSISTANT_ADDRESS: await peer.dbProxyAddress(),
      TANDEM_CONTACTS_CALLERS: "gateway",
    });
    await gateway.serving();
    return gateway;
  };
  const gateway = await startGateway();
  const channel: Channel = createChannel({ address: await gateway.address() });
  parts.defer(() => channel.close());
  const contacts = createClient(Contacts, channel);
  const upsert: ContactsRig["upsert"] = async (request) => {
    const { contact } = await contacts.upsertContact(request);
    return contact ?? expect.fail("There is no contact in the answer.");
  };
  const setAuthority = async (side: Side): Promise<void> => {
    for (const { url } of [pair.assistant, pair.gateway]) {
      await runSql(url, `UPDATE tandem.authority SET authority = '${side}'`);
    }
  };
  const running = parts.move();
  return {
    contacts,
    pair,
    assistant,
    startGateway,
    setAuthority,
    letDecide: async (side) => {
      await setAuthority(side);
      // For a while the gateway believes what it read before; what it writes then is refused, and corrects it.
      await waitFor(() => upsert({ displayName: "Somebody" }), { describe: `the ${side} to decide` });
    },
    upsert,
    get: async (id) => {
      const { contact } = await contacts.getContact({ id });
      return contact ?? expect.fail("There is no contact in the answer.");
    },
    update: async (request) => {
      const { channel: updated } = await contacts.updateContactChannel(request);
      return updated ?? expect.fail("There is no channel in the answer.");
    },
    createChannelOf: async (displayName) => {
      const { channels } = await upsert({
        displayName,
        channels: [{ type: "telegram", address: unique("@%") }],
      });
      return channels[0] ?? expect.fail("There is no channel in the answer.");
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Something that no other test has: `%` is replaced. */
export function unique(form: string): string {
  return form.replace("%", randomUUID().slice(0, 13));
}

export function uniqueNumber(): string {
  return `+49${String(Math.floor(Math.random() * 1e10)).padStart(10, "1")}`;
}
