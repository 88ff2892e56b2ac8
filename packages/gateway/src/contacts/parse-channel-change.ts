import {
  ChannelPolicy,
  ChannelStatus,
  type UpdateContactChannelRequest,
} from "@tandem/contract/tandem/gateway/v1/contacts";
import { invalidField } from "@tandem/rpc";
import { parseExpectedVersion, parseId, parseOptionalRequestId, parseReason } from "./request-fields.ts";

/** What is to become of a channel; null is what stays. */
export interface ChannelChange {
  readonly requestId: string | undefined;
  readonly id: string;
  readonly status: "active" | "revoked" | "blocked" | null;
  readonly policy: "allow" | "deny" | null;
  readonly reason: string | null;
  readonly expectedVersion: bigint | null;
}

const statuses: ReadonlyMap<ChannelStatus, ChannelChange["status"]> = new Map([
  [ChannelStatus.UNSPECIFIED, null],
  [ChannelStatus.ACTIVE, "active"],
  [ChannelStatus.REVOKED, "revoked"],
  [ChannelStatus.BLOCKED, "blocked"],
]);

const policies: ReadonlyMap<ChannelPolicy, ChannelChange["policy"]> = new Map([
  [ChannelPolicy.UNSPECIFIED, null],
  [ChannelPolicy.ALLOW, "allow"],
  [ChannelPolicy.DENY, "deny"],
]);

/** Fails with INVALID_REQUEST, and names the field. */
export function parseChannelChange(request: UpdateContactChannelRequest): ChannelChange {
  const status = statuses.get(request.status);
  if (status === undefined) {
    throw invalidField({ field: "status", why: "must be ACTIVE, REVOKED or BLOCKED, or be left out" });
  }
  const policy = policies.get(request.policy);
  if (policy === undefined) {
    throw invalidField({ field: "policy", why: "must be ALLOW or DENY, or be left out" });
  }
  if (status === null && policy === null) {
    throw invalidField({ field: "status", why: "or policy has to be given: there is nothing to change" });
  }
  const reason = parseReason(request.reason);
  if (reason !== "" && status !== "revoked" && status !== "blocked") {
    throw invalidField({ field: "reason", why: "goes with status REVOKED or BLOCKED" });
  }
  return {
    requestId: parseOptionalRequestId(request.requestId),
    id: parseId(request.id),
    status,
    policy,
    reason: reason === "" ? null : reason,
    expectedVersion: parseExpectedVersion(request.expectedVersion),
  };
}
