import { randomUUID } from "node:crypto";
import { ChannelPolicy, ChannelStatus } from "@tandem/contract/tandem/gateway/v1/contacts";
import { MirrorOutcome } from "@tandem/contract/tandem/gateway/v1/invite_mirror";
import { InviteStatus } from "@tandem/contract/tandem/invite/v1/invite";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  MirrorContactRequestSchema,
  MirrorInviteCreateRequestSchema,
} from "@tandem/contract/tandem/gateway/v1/invite_mirror";
import {
  type Arbitrary,
  array,
  assert,
  asyncProperty,
  boolean,
  constant,
  constantFrom,
  integer,
  record,
  shuffledSubarray,
} from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readMirrorConfig } from "./config.ts";
import { createMirrorRig, insertContact, type MirrorRig } from "./mirror-rig.ts";

const { interleavings, seed } = readMirrorConfig();
const TIME = { seconds: 1_700_000_000n, nanos: 123_456_000 };
const IDS = 3;

let rig: MirrorRig;
let contactId: string;
beforeAll(async () => {
  rig = await createMirrorRig();
  contactId = await insertContact(rig);
  await rig.mirrored();
});
afterAll(() => rig[Symbol.asyncDispose]());

/** One of the versions of an aggregate, as it is sent: a deletion, or what says which version it is. */
interface Sent {
  readonly which: number;
  readonly version: number;
}

// What the versions of one aggregate are: the same, however often and in whichever order they are sent.
const histories = array(array(boolean(), { minLength: 1, maxLength: 7 }), {
  minLength: IDS,
  maxLength: IDS,
});

/** Versions with duplicates and in any order, some of them at once. */
const interleaving = histories.chain((deletions) => {
  const all = deletions.flatMap((versions, which) =>
    versions.map((_, at): Sent => ({ which, version: at + 1 })),
  );
  const replays = array(constantFrom(...all), { maxLength: all.length });
  return replays
    .chain((again) => shuffledSubarray([...all, ...again], { minLength: 1 }))
    .chain((order) => record({ order: constant(order), atOnce: integer({ min: 1, max: 8 }) }))
    .map((sending) => ({ ...sending, deletions }));
});

type InviteRequest = MessageInitShape<typeof MirrorInviteCreateRequestSchema>;
type ContactRequest = MessageInitShape<typeof MirrorContactRequestSchema>;

function inviteRequest(id: string, version: number, deleted: boolean): InviteRequest {
  const base = { id, version: BigInt(version) };
  if (deleted) return { invite: { ...base, deleteTime: TIME } };
  return {
    invite: {
      ...base,
      contactId,
      sourceChannel: "telegram",
      status: InviteStatus.ACTIVE,
      maxUses: 1,
      note: `version ${version}`,
      expireTime: TIME,
      createTime: TIME,
      updateTime: TIME,
    },
    secretHashes: { keyId: "k", tokenHash: Buffer.from(`${id}${version}`) },
  };
}

function contactRequest(id: string, version: number, deleted: boolean): ContactRequest {
  const base = { id, version: BigInt(version) };
  if (deleted) return { contact: { ...base, deleteTime: TIME } };
  const channel = {
    // Now and then it is another channel that has the address.
    id: id.slice(0, -1) + String(version % 3),
    contactId: id,
    type: "telegram",
    address: id,
    status: ChannelStatus.ACTIVE,
    policy: ChannelPolicy.ALLOW,
    version: BigInt(version),
    createTime: TIME,
    updateTime: { ...TIME, seconds: TIME.seconds + BigInt(version) },
  };
  return {
    contact: {
      ...base,
      displayName: `version ${version}`,
      role: "contact",
      channels: [channel],
      createTime: TIME,
      updateTime: TIME,
    },
  };
}

/** Sends them, some at once, and looks at the answers. */
async function sendAll(
  { order, atOnce }: { readonly order: readonly Sent[]; readonly atOnce: number },
  send: (group: readonly Sent[]) => Promise<readonly { outcome: MirrorOutcome; version: bigint }[]>,
): Promise<void> {
  for (let from = 0; from < order.length; from += atOnce) {
    const group = order.slice(from, from + atOnce);
    const answers = await send(group);
    for (const [at, { outcome, version }] of answers.entries()) {
      const sent = BigInt(group[at]?.version ?? 0);
      if (outcome === MirrorOutcome.STALE) expect(version).toBeGreaterThanOrEqual(sent);
      else expect(version).toBe(sent);
    }
  }
}

/** What is to be there behind all that: of each aggregate its newest version, or nothing. */
function newestOf(ids: readonly string[], { order, deletions }: Sending): Record<string, string> {
  const there: Record<string, string> = {};
  for (const [which, id] of ids.entries()) {
    const version = Math.max(...order.filter((sent) => sent.which === which).map((sent) => sent.version));
    if (version > 0 && deletions[which]?.[version - 1] === false) there[id] = `${version} version ${version}`;
  }
  return there;
}

type Sending = typeof interleaving extends Arbitrary<infer Value> ? Value : never;

async function held(text: string): Promise<Record<string, unknown>> {
  return Object.fromEntries((await rig.sql("gateway", text)).map(({ id, held: what }) => [id, what]));
}

const runs = { numRuns: interleavings, seed };
const newIds = (): string[] => Array.from({ length: IDS }, () => `${randomUUID().slice(0, -1)}0`);
const listOf = (ids: readonly string[]): string => ids.map((id) => `'${id}'`).join(",");

it.each(["by calls", "over a stream"])(
  `the newest version of an invite wins, whatever is sent again or late, %s (TANDEM_MIRROR_SEED=${seed})`,
  async (how) => {
    await assert(
      asyncProperty(interleaving, async (sending) => {
        const ids = newIds();
        const requestOf = ({ which, version }: Sent): InviteRequest =>
          inviteRequest(ids[which] ?? "", version, sending.deletions[which]?.[version - 1] ?? false);
        await sendAll(sending, (group) =>
          how === "by calls"
            ? Promise.all(group.map((sent) => rig.mirror.mirrorInviteCreate(requestOf(sent))))
            : overStream(group.map(requestOf)),
        );
        const there = await held(
          `SELECT id, version || ' ' || note AS held FROM ingress_invites WHERE id IN (${listOf(ids)})`,
        );
        expect(there).toEqual(newestOf(ids, sending));
      }),
      runs,
    );
  },
  20_000 + interleavings * 200,
);

async function overStream(requests: readonly InviteRequest[]) {
  async function* sent() {
    for (const [index, request] of requests.entries()) yield { id: BigInt(index) + 1n, request };
  }
  const answers = new Map<bigint, { outcome: MirrorOutcome; version: bigint }>();
  for await (const { id, outcome } of rig.mirror.mirrorInviteCreateStream(sent())) {
    if (outcome.case !== "response") expect.fail(`It was answered with ${JSON.stringify(outcome.value)}.`);
    answers.set(id, outcome.value);
  }
  return requests.map((_, index) => answers.get(BigInt(index) + 1n) ?? expect.fail("It was not answered."));
}

it(
  `the newest version of a contact with its channels wins, whatever is sent again or late (TANDEM_MIRROR_SEED=${seed})`,
  async () => {
    await assert(
      asyncProperty(interleaving, async (sending) => {
        const ids = newIds();
        await sendAll(sending, (group) =>
          Promise.all(
            group.map(({ which, version }) =>
              rig.mirror.mirrorContact(
                contactRequest(ids[which] ?? "", version, sending.deletions[which]?.[version - 1] ?? false),
              ),
            ),
          ),
        );
        const expected = newestOf(ids, sending);
        const there = await held(
          `SELECT id, version || ' ' || display_name AS held FROM contacts WHERE id IN (${listOf(ids)})`,
        );
        expect(there).toEqual(expected);
        const channels = await held(
          `SELECT contact_id AS id, string_agg(version || ' version ' || version, ',') AS held
           FROM contact_channels WHERE contact_id IN (${listOf(ids)}) GROUP BY 1`,
        );
        expect(channels).toEqual(expected);
      }),
      runs,
    );
  },
  20_000 + interleavings * 200,
);
