import { randomUUID } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { StatusSchema } from "@tandem/contract/google/rpc/status";
import { InviteMirror } from "@tandem/contract/tandem/gateway/v1/invite_mirror";
import { toState } from "@tandem/invites";
import type { MirroredAggregate, MirrorItem } from "@tandem/postgres";
import {
  createChannel,
  createLogger,
  HandlerError,
  type Reason,
  RpcServer,
  toStatusMessage,
} from "@tandem/rpc";
import { describe, expect, it, onTestFinished } from "vitest";
import { mirroredToGateway } from "./to-gateway.ts";

const AT = "2026-11-21 10:00:00+00";
const MIB = 1024 * 1024;
const logger = createLogger({ service: "assistant", level: "silent" });

/** How a gateway does. What throws ends the call, and so the stream. */
interface Gateway {
  /** Given each id that comes. */
  readonly meets?: (id: string) => void;
  /** The reason with which it refuses those that come by a stream. */
  readonly streamRefusal?: Reason;
}

/** One that takes all else. */
async function startGateway({ meets = () => undefined, streamRefusal }: Gateway) {
  const taken = new Set<string>();
  let calls = 0;
  const take = (id = "") => {
    meets(id);
    taken.add(id);
    return { id };
  };
  const refused = (reason: Reason) => {
    const failure = new HandlerError({ reason, message: "It isn't taken." });
    return { case: "error" as const, value: fromBinary(StatusSchema, toStatusMessage(failure)) };
  };
  const server = new RpcServer({ logger }).addService(InviteMirror, {
    mirrorContact: async ({ contact }) => take(contact?.id),
    mirrorInviteCreate: async ({ invite }) => {
      calls += 1;
      return take(invite?.id);
    },
    async *mirrorInviteCreateStream(requests) {
      for await (const { id, request } of requests) {
        if (streamRefusal !== undefined) yield { id, outcome: refused(streamRefusal) };
        else yield { id, outcome: { case: "response" as const, value: take(request?.invite?.id) } };
      }
    },
  });
  const channel = createChannel({ address: await server.listen("127.0.0.1:0") });
  server.health.setAll(true);
  onTestFinished(async () => {
    channel.close();
    await server.drain({ timeoutMs: 0 });
  });
  const aggregates = mirroredToGateway({ channel, instanceId: "assistant" });
  return { aggregates, taken, calls: () => calls };
}

async function deliver(
  aggregates: readonly MirroredAggregate[],
  name: string,
  items: readonly MirrorItem[],
): Promise<readonly (Error | undefined)[]> {
  const aggregate = aggregates.find((each) => each.name === name);
  return (await aggregate?.deliver(items, new AbortController().signal)) ?? [];
}

function deletions(count: number): MirrorItem[] {
  return Array.from({ length: count }, () => {
    return { id: randomUUID(), version: 2n, state: undefined, updatedAt: AT };
  });
}

function inviteWith(note: string): MirrorItem {
  const id = randomUUID();
  const state = toState({
    id,
    contact_id: randomUUID(),
    source_channel: "telegram",
    key_id: "k",
    token_hash: null,
    invite_code_hash: null,
    voice_code_hash: null,
    voice_code_digits: null,
    expected_external_user_id: null,
    source_conversation_id: null,
    friend_name: null,
    guardian_name: null,
    note,
    max_uses: 1,
    use_count: 0,
    expires_at: AT,
    status: "active",
    redeemed_by_external_user_id: null,
    redeemed_by_external_chat_id: null,
    redeemed_at: null,
    version: 1n,
    created_at: AT,
    updated_at: AT,
  });
  return { id, version: 1n, state, updatedAt: AT };
}

function contactWith(displayName: string, channels: number): MirrorItem {
  const id = randomUUID();
  const state = JSON.stringify({
    id,
    display_name: displayName,
    role: "contact",
    created_at: AT,
    updated_at: AT,
    contact_channels: Array.from({ length: channels }, () => ({
      id: randomUUID(),
      contact_id: id,
      type: "telegram",
      address: "a",
      external_user_id: null,
      external_chat_id: null,
      is_primary: false,
      status: "active",
      policy: "allow",
      verified_at: null,
      verified_via: null,
      revoked_reason: null,
      blocked_reason: null,
      last_seen_at: null,
      interaction_count: 0,
      version: 1,
      created_at: AT,
      updated_at: AT,
    })),
  });
  return { id, version: 1n, state, updatedAt: AT };
}

/** Something of an aggregate in the middle of others. */
function among(item: MirrorItem): readonly MirrorItem[] {
  return [...deletions(3), item, ...deletions(3)];
}

function reasonsOf(results: readonly (Error | undefined)[]): readonly unknown[] {
  return results.map((failure) => (failure instanceof HandlerError ? failure.reason : failure));
}

describe("a row that no message can hold is refused, and the others are brought:", () => {
  it.each([
    ["an invite of 5 MiB", "invite", () => inviteWith("x".repeat(5 * MIB))],
    ["an invite of 2 Mi signs of 3 bytes", "invite", () => inviteWith("€".repeat(2 * MIB))],
    ["a contact of 5 MiB", "contact", () => contactWith("x".repeat(5 * MIB), 1)],
    ["a contact of 20,000 channels", "contact", () => contactWith("Somebody", 20_000)],
  ])("%s", async (_, aggregate, make) => {
    const { aggregates, taken } = await startGateway({});
    const large = make();
    const items = among(large);
    const results = await deliver(aggregates, aggregate, items);
    expect(reasonsOf(results)).toEqual(
      items.map((item) => (item === large ? "REQUEST_TOO_LARGE" : undefined)),
    );
    expect(taken.size).toBe(6);
  });
});

it("a row as large as a message may be is brought", async () => {
  const { aggregates, taken } = await startGateway({});
  const results = await deliver(aggregates, "invite", [inviteWith("x".repeat(4 * MIB - 1024))]);
  expect([results, taken.size]).toEqual([[undefined], 1]);
});

it.each(["invite", "contact"])(
  "of a row of an %s that can't be read nothing is said of the others",
  async (aggregate) => {
    const { aggregates, taken } = await startGateway({});
    const strange = { id: randomUUID(), version: 1n, state: "7", updatedAt: AT };
    const items = among(strange);
    const results = await deliver(aggregates, aggregate, items);
    expect(reasonsOf(results)).toEqual(
      items.map((item) => (item === strange ? "HANDLER_FAILED" : undefined)),
    );
    expect(taken.size).toBe(6);
  },
);

describe("where the gateway ends the stream at one invite", () => {
  it.each<Reason>(["HANDLER_FAILED", "INVALID_REQUEST", "REQUEST_TOO_LARGE"])(
    "with %s, all others are brought",
    async (reason) => {
      const items = deletions(100);
      const poison = items[0]?.id;
      const { aggregates, taken } = await startGateway({
        meets: (id) => {
          if (id === poison) throw new HandlerError({ reason, message: "It can't be borne." });
        },
      });
      const results = await deliver(aggregates, "invite", items);
      expect(reasonsOf(results)).toEqual(items.map(({ id }) => (id === poison ? reason : undefined)));
      expect(taken.size).toBe(99);
    },
  );
});

it("what a lock on one invite brings upon those that came with it is brought by itself", async () => {
  const { aggregates, taken } = await startGateway({ streamRefusal: "LOCK_TIMEOUT" });
  const results = await deliver(aggregates, "invite", deletions(100));
  expect(results.filter((failure) => failure !== undefined)).toEqual([]);
  expect(taken.size).toBe(100);
});

it("a gateway that takes nothing by itself either is not asked for all of it", async () => {
  const { aggregates, calls } = await startGateway({
    streamRefusal: "LOCK_TIMEOUT",
    meets: () => {
      throw new HandlerError({ reason: "LOCK_TIMEOUT", message: "The table is held." });
    },
  });
  const results = await deliver(aggregates, "invite", deletions(100));
  expect(new Set(reasonsOf(results))).toEqual(new Set(["LOCK_TIMEOUT"]));
  expect(calls()).toBe(32);
});

it("a gateway that has no database is asked for none by itself", async () => {
  const { aggregates, calls } = await startGateway({ streamRefusal: "DATABASE_UNAVAILABLE" });
  const results = await deliver(aggregates, "invite", deletions(100));
  expect(new Set(reasonsOf(results))).toEqual(new Set(["DATABASE_UNAVAILABLE"]));
  expect(calls()).toBe(0);
});

it("a deleted invite refers to nothing", async () => {
  const { aggregates } = await startGateway({});
  const invites = aggregates.find(({ name }) => name === "invite");
  const [deletion = inviteWith("none")] = deletions(1);
  expect(invites?.refersTo?.(deletion)).toBeUndefined();
  expect(invites?.refersTo?.(inviteWith("n"))).toMatchObject({ aggregate: "contact" });
});
