import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { MirrorContactRequestSchema } from "@tandem/contract/tandem/gateway/v1/invite_mirror";
import { expect, it } from "vitest";
import * as fc from "fast-check";
import { fromMirrorContactRequest, toMirrorContactRequest } from "./mirror-contact.ts";

const text = fc.string({ minLength: 1 }).map((given) => given.toWellFormed());
const orNull = fc.option(text);
const time = fc
  .record({ ms: fc.integer({ min: 0, max: 4_000_000_000_000 }), micros: fc.integer({ min: 0, max: 999 }) })
  .map(({ ms, micros }) => {
    const [whole = "", fraction = ""] = new Date(ms).toISOString().replace("Z", "").split(".");
    const digits = `${fraction}${String(micros).padStart(3, "0")}`.replace(/0+$/, "");
    return `${whole}${digits === "" ? "" : `.${digits}`}+00:00`;
  });
const id = fc.uuid();
const channel = fc.record({
  id,
  contact_id: id,
  type: text,
  address: text,
  external_user_id: orNull,
  external_chat_id: orNull,
  is_primary: fc.boolean(),
  status: fc.constantFrom("unverified", "pending", "active", "revoked", "blocked"),
  policy: fc.constantFrom("allow", "deny"),
  verified_at: fc.option(time),
  verified_via: orNull,
  revoked_reason: orNull,
  blocked_reason: orNull,
  last_seen_at: fc.option(time),
  interaction_count: fc.nat(),
  version: fc.integer({ min: 1 }),
  created_at: time,
  updated_at: time,
});
const contact = fc.record({
  id,
  display_name: text,
  role: text,
  created_at: time,
  updated_at: time,
  contact_channels: fc.array(channel, { maxLength: 3 }),
});

const throughTheWire = (request: ReturnType<typeof toMirrorContactRequest>) =>
  fromBinary(MirrorContactRequestSchema, toBinary(MirrorContactRequestSchema, request));

it("brings a contact to the other side as it is in the tables", () => {
  fc.assert(
    fc.property(contact, fc.bigInt({ min: 1n, max: 2n ** 62n }), (state, version) => {
      const item = { id: state.id, version, state: JSON.stringify(state), updatedAt: state.updated_at };
      const brought = fromMirrorContactRequest(throughTheWire(toMirrorContactRequest(item, "here")));
      expect({ ...brought, state: JSON.parse(brought.state ?? "null") }).toEqual({ ...item, state });
    }),
  );
});

it("brings a deletion", () => {
  const item = {
    id: "01990000-0000-7000-8000-000000000001",
    version: 7n,
    state: undefined,
    updatedAt: "2026-01-02 03:04:05.678901+00",
  };
  const brought = fromMirrorContactRequest(throughTheWire(toMirrorContactRequest(item, "here")));
  expect(brought).toEqual({ ...item, updatedAt: "2026-01-02T03:04:05.678901+00:00" });
});

it.each([
  ["no contact", {}, "contact is missing."],
  ["no id", { contact: { version: 1n } }, "contact.id must be a UUID, in lower case."],
  [
    "a state of no known name",
    { channels: [{ status: 9 }] },
    "contact.channels[0].status is none that this server knows.",
  ],
] as const)("refuses %s, and says which field it is", (_what, broken, message) => {
  const state = {
    id: "01990000-0000-7000-8000-000000000001",
    display_name: "Ada",
    role: "contact",
    created_at: "2026-01-02T03:04:05+00:00",
    updated_at: "2026-01-02T03:04:05+00:00",
    contact_channels: [],
  };
  const whole = toMirrorContactRequest(
    { id: state.id, version: 1n, state: JSON.stringify(state), updatedAt: state.updated_at },
    "here",
  );
  const given = "channels" in broken ? { ...whole, contact: { ...whole.contact, ...broken } } : broken;
  expect(() => fromMirrorContactRequest(given as typeof whole)).toThrow(
    expect.objectContaining({ reason: "INVALID_REQUEST", message }),
  );
});
