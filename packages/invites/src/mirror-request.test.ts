import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { MirrorInviteCreateRequestSchema } from "@tandem/contract/tandem/gateway/v1/invite_mirror";
import {
  type Invite,
  InviteSchema,
  InviteSecretHashesSchema,
  InviteStatus,
} from "@tandem/contract/tandem/invite/v1/invite";
import { HandlerError } from "@tandem/rpc";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toInvite } from "./invite-row.ts";
import { fromMirrorRequest, fromState, toMirrorRequest, toState } from "./mirror-request.ts";
import { arbitraryRow, instant } from "./testing/arbitrary-row.ts";

const overTheWire = (request: ReturnType<typeof toMirrorRequest>): typeof request =>
  fromBinary(MirrorInviteCreateRequestSchema, toBinary(MirrorInviteCreateRequestSchema, request));

describe("an invite on its way to the mirror", () => {
  it("arrives as it was, whatever is in it", () => {
    fc.assert(
      fc.property(arbitraryRow, (row) => {
        const item = { id: row.id, version: row.version, state: toState(row), updatedAt: row.updated_at };
        const arrived = fromMirrorRequest(overTheWire(toMirrorRequest(item, "assistant-1")));
        expect(arrived).toEqual(item);
        expect(fromState(arrived.state ?? "", arrived.version)).toEqual(row);
      }),
      { numRuns: 1_000 },
    );
  });

  it("that was deleted arrives as a tombstone with its version", () => {
    fc.assert(
      fc.property(arbitraryRow, instant, ({ id, version }, updatedAt) => {
        const item = { id, version, state: undefined, updatedAt };
        expect(fromMirrorRequest(overTheWire(toMirrorRequest(item, "assistant-1")))).toEqual(item);
      }),
    );
  });

  it.each<[string, (text: string) => string]>([
    ["as rows have them", (text) => text.replace("T", " ").replace("+00:00", "+00")],
    ["as DbProxy gives them", (text) => text.replace("+00:00", "Z")],
  ])("is the same message, whether its times are written %s or as JSON has them", (_, written) => {
    fc.assert(
      fc.property(arbitraryRow, (row) => {
        const { expires_at: expires, created_at: created, updated_at: updated } = row;
        const read = {
          ...row,
          expires_at: written(expires),
          created_at: written(created),
          updated_at: written(updated),
        };
        expect(toInvite(read)).toEqual(toInvite(row));
      }),
    );
  });

  it("carries its hashes beside the invite, and none in it", () => {
    const [row] = fc.sample(arbitraryRow, { numRuns: 1, seed: 1 });
    const hash = Uint8Array.from({ length: 32 }, () => 7);
    const state = toState({ ...row!, token_hash: hash, key_id: "one" });
    const { invite, secretHashes } = toMirrorRequest({ id: row!.id, version: 1n, state, updatedAt: "" }, "");
    expect(secretHashes).toMatchObject({ keyId: "one", tokenHash: hash });
    expect(Object.keys(invite ?? {}).filter((name) => /hash|key/i.test(name))).toEqual([]);
  });

  const id = "0198e5a0-0000-7000-8000-00000000ada0";
  const of = (given: MessageInitShape<typeof InviteSchema>): Invite =>
    create(InviteSchema, { id, version: 1n, status: InviteStatus.ACTIVE, ...given });
  const at = (nanos = 0, seconds = 0n): Timestamp => create(TimestampSchema, { seconds, nanos });
  const times = { expireTime: at(), createTime: at(), updateTime: at() };
  const secretHashes = create(InviteSecretHashesSchema);
  it.each<[string, MessageInitShape<typeof MirrorInviteCreateRequestSchema>]>([
    ["invite", {}],
    ["invite.id", { invite: of({ ...times, id: "1" }) }],
    ["invite.version", { invite: of({ ...times, version: 0n }) }],
    ["invite.delete_time", { invite: of({ deleteTime: at(0, 1n << 40n) }) }],
    ["secret_hashes", { invite: of(times) }],
    ["invite", { invite: of({ ...times, status: 9 as InviteStatus }), secretHashes }],
    ["invite", { invite: of({ createTime: at(), updateTime: at() }), secretHashes }],
    ["invite", { invite: of({ ...times, updateTime: at(-1) }), secretHashes }],
  ])("is refused where a row can't be made of its %s (%#)", (field, given) => {
    let failure: unknown;
    try {
      fromMirrorRequest(create(MirrorInviteCreateRequestSchema, given));
    } catch (error) {
      failure = error;
    }
    expect(failure).toBeInstanceOf(HandlerError);
    expect(failure).toMatchObject({ reason: "INVALID_REQUEST", fields: [{ field }] });
  });
});
