import { createHash } from "node:crypto";
import type { RedeemInviteRequest } from "@tandem/contract/tandem/gateway/v1/invites";
import { parseSourceChannel, type ShownSecret } from "@tandem/invites";
import { invalidField } from "@tandem/rpc";
import { canonicalAddress } from "../contacts/canonical-address.ts";
import { inviteLimits } from "./limits.ts";

/** A redemption that was asked for, checked. */
export interface Redemption {
  readonly shown: ShownSecret;
  readonly sourceChannel: string;
  readonly externalUserId: string | null;
  readonly externalChatId: string | null;
  /** Where the redeemer is reached: as the channel knows them, in the form in which contacts have it. */
  readonly address: string;
  /** The channel's row where it is new: the same for each send of the request. */
  readonly channelId: string;
  /** Undefined where the caller doesn't care how often it is applied. */
  readonly requestId: string | undefined;
}

/** Checks it. Fails with INVALID_REQUEST and the field. */
export function parseRedemption(request: RedeemInviteRequest, requestId: string | undefined): Redemption {
  const sourceChannel = parseSourceChannel(request.sourceChannel, "source_channel");
  const shown = parseSecret(request.secret);
  const externalUserId = parseId(request.externalUserId, "external_user_id");
  const externalChatId = parseId(request.externalChatId, "external_chat_id");
  return {
    shown,
    sourceChannel,
    externalUserId,
    externalChatId,
    address: parseRedeemer({ shown, sourceChannel, externalUserId, externalChatId }),
    channelId: requestId === undefined ? crypto.randomUUID() : channelIdOf(requestId),
    requestId,
  };
}

function parseRedeemer({
  shown,
  sourceChannel,
  externalUserId,
  externalChatId,
}: Pick<Redemption, "shown" | "sourceChannel" | "externalUserId" | "externalChatId">): string {
  const given = externalUserId ?? externalChatId;
  if (given === null) {
    throw invalidField({
      field: "external_user_id",
      why: "is missing, and so is external_chat_id: say who redeems",
    });
  }
  const found = canonicalAddress(sourceChannel, given);
  if ("address" in found) return found.address;
  // Who hides their number is told what anybody is who calls from a wrong one.
  if (shown.kind === "voice_code") return given;
  throw invalidField({
    field: externalUserId === null ? "external_chat_id" : "external_user_id",
    why: found.why,
  });
}

function parseSecret(secret: RedeemInviteRequest["secret"]): ShownSecret {
  const { maxIdBytes } = inviteLimits;
  if (secret.case === undefined || secret.value === "") {
    throw invalidField({ field: "secret", why: "is missing: a token, a code or a voice_code" });
  }
  if (Buffer.byteLength(secret.value) > maxIdBytes) {
    throw invalidField({ field: "secret", why: `is longer than ${maxIdBytes} bytes` });
  }
  const kind = secret.case === "voiceCode" ? "voice_code" : secret.case;
  // As people type codes.
  return { kind, secret: kind === "token" ? secret.value : secret.value.replaceAll(/[\s-]/g, "") };
}

function parseId(given: string, field: string): string | null {
  const { maxIdBytes } = inviteLimits;
  const id = given.trim();
  if (id === "") return null;
  if (Buffer.byteLength(id) > maxIdBytes)
    throw invalidField({ field, why: `is longer than ${maxIdBytes} bytes` });
  if (id.includes("\0")) throw invalidField({ field, why: "has a NUL character" });
  return id;
}

function channelIdOf(requestId: string): string {
  const hash = createHash("sha256").update(`channel of ${requestId}`).digest("hex");
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(13, 16)}-a${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
}
