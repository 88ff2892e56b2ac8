import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { IngressInvites } from "@tandem/contract/tandem/assistant/v1/ingress_invites";
import { ChannelPolicy, Contacts } from "@tandem/contract/tandem/gateway/v1/contacts";
import { Invites } from "@tandem/contract/tandem/gateway/v1/invites";
import { newRequestId } from "@tandem/dbproxy";
import { createChannel, createClient, HandlerError, TransportError } from "@tandem/rpc";
import type { CrashRig, Side } from "./crash-rig.ts";

/** What callers were told of what they wrote. */
export interface Ledger {
  /** The invites that were created on contacts that nobody deletes, by their notes. */
  readonly invites: Map<string, string>;
  /** The notes of those that were refused. */
  readonly refused: Set<string>;
  /** The highest version of a contact or an invite that anybody was told, by its id. */
  readonly versions: Map<string, bigint>;
  /** How many calls were answered by each kind of failure, and made again. */
  readonly failures: Map<string, number>;
}

export interface Changes extends AsyncDisposable {
  readonly ledger: Ledger;
  /** Makes one change at random, until it is known what became of it. */
  make(random: () => number): Promise<void>;
}

// Of these the first half are never deleted.
const CONTACTS = 16;
const CALL_TIMEOUT_MS = 5_000;
const PATIENCE_MS = 60_000;

/** What callers do with contacts and invites, whoever decides; under the assistant's authority some call it themselves. */
export async function openChanges(rig: CrashRig, decides: Side): Promise<Changes> {
  await using stack = new AsyncDisposableStack();
  const open = (address: string) => stack.adopt(createChannel({ address }), (opened) => opened.close());
  const toGateway = open(rig.gatewayAddress);
  const clients = {
    contacts: createClient(Contacts, toGateway),
    invites: createClient(Invites, toGateway),
    ingress: createClient(IngressInvites, open(rig.assistantAddress)),
  };
  const ledger: Ledger = { invites: new Map(), refused: new Set(), versions: new Map(), failures: new Map() };
  const making: Making = { ...clients, ledger, decides, ids: [], open: [] };
  for (let count = 0; count < CONTACTS; count += 1) {
    const id = randomUUID();
    making.ids.push(id);
    await upsert(making, id);
  }
  const running = stack.move();
  return {
    ledger,
    make: async (random) => {
      const pick = random();
      const id = making.ids[Math.floor(random() * CONTACTS)] ?? "";
      const mayGo = making.ids.indexOf(id) >= CONTACTS / 2;
      if (pick < 0.5) await create(making, id, random);
      else if (pick < 0.7) await upsert(making, id);
      else if (pick < 0.8) await revoke(making, random);
      else if (pick < 0.9) await changeChannel(making, id, random);
      else if (mayGo) await remove(making, id);
      else await upsert(making, id);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

interface Making {
  readonly contacts: ReturnType<typeof createClient<typeof Contacts>>;
  readonly invites: ReturnType<typeof createClient<typeof Invites>>;
  readonly ingress: ReturnType<typeof createClient<typeof IngressInvites>>;
  readonly ledger: Ledger;
  readonly decides: Side;
  readonly ids: string[];
  /** Invites that can be revoked. */
  readonly open: string[];
}

const options = { timeoutMs: CALL_TIMEOUT_MS };

async function create(making: Making, contactId: string, random: () => number): Promise<void> {
  const { ledger, ids, open, decides } = making;
  const note = randomUUID();
  const invite = { contactId, note, sourceChannel: `c${Math.floor(random() * 20)}`, maxUses: 1 };
  const direct = decides === "assistant" && random() < 0.5;
  const created = await insist(ledger, async (requestId) => {
    const request = { requestId, invite };
    const answer = direct
      ? await making.ingress.createIngressInvite(request, options)
      : await making.invites.createInvite(request, options);
    return { invite: answer.invite };
  });
  if (created instanceof HandlerError) {
    ledger.refused.add(note);
    return;
  }
  const { id = "", version = 0n } = created.invite ?? {};
  see(ledger, id, version);
  if (ids.indexOf(contactId) < CONTACTS / 2) ledger.invites.set(note, id);
  open.push(id);
}

async function upsert({ contacts, ledger }: Making, id: string): Promise<void> {
  const channels = [{ type: "telegram", address: `@${id.slice(0, 13)}` }];
  const displayName = `Name ${Math.random()}`;
  const answer = await insist(ledger, (requestId) =>
    contacts.upsertContact({ requestId, id, displayName, channels }, options),
  );
  if (!(answer instanceof HandlerError)) see(ledger, id, answer.contact?.version ?? 0n);
}

async function revoke({ invites, ledger, open }: Making, random: () => number): Promise<void> {
  const [id] = open.splice(Math.floor(random() * open.length), 1);
  if (id === undefined) return;
  const answer = await insist(ledger, (requestId) => invites.revokeInvite({ requestId, id }, options));
  if (!(answer instanceof HandlerError)) see(ledger, id, answer.invite?.version ?? 0n);
}

async function changeChannel(
  { contacts, ledger }: Making,
  contactId: string,
  random: () => number,
): Promise<void> {
  const held = await insist(ledger, () => contacts.getContact({ id: contactId }, options));
  if (held instanceof HandlerError) return;
  const [channel] = held.contact?.channels ?? [];
  if (channel === undefined) return;
  const policy = random() < 0.5 ? ChannelPolicy.DENY : ChannelPolicy.ALLOW;
  await insist(ledger, (requestId) =>
    contacts.updateContactChannel({ requestId, id: channel.id, policy }, options),
  );
}

async function remove({ contacts, ledger }: Making, id: string): Promise<void> {
  await insist(ledger, (requestId) => contacts.deleteContact({ requestId, id }, options));
}

function see({ versions }: Ledger, id: string, version: bigint): void {
  if (version > (versions.get(id) ?? 0n)) versions.set(id, version);
}

/** Calls again, under the same id, until it is known what became of it: the answer, or a refusal for good. */
async function insist<T>(
  { failures }: Ledger,
  call: (requestId: string) => Promise<T>,
): Promise<T | HandlerError> {
  const requestId = newRequestId();
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await call(requestId);
    } catch (error) {
      if (!(error instanceof HandlerError || error instanceof TransportError)) throw error;
      const name = error instanceof HandlerError ? error.reason : `transport ${error.code}`;
      failures.set(name, (failures.get(name) ?? 0) + 1);
      const isSettled =
        error instanceof HandlerError && !error.retryable && error.outcome === "NOT_COMMITTED";
      if (isSettled) return error;
      if (performance.now() > until || (error instanceof HandlerError && error.outcome === "COMMITTED"))
        throw error;
    }
    await delay(50);
  }
}
