import type { IngressInvites } from "@tandem/contract/tandem/assistant/v1/ingress_invites";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { createInviteOnce, type InviteKeys, toInvite, toTimestamp } from "@tandem/invites";
import { createDatabaseSide, type Database, type Receipts } from "@tandem/postgres";
import { HandlerError, type HandlerContext, type Handlers, invalidField } from "@tandem/rpc";

export interface IngressInvitesOptions {
  readonly database: Database;
  readonly receipts: Receipts;
  readonly keys: () => InviteKeys;
  readonly instanceId: string;
  /** Something was written that the mirror doesn't have. */
  readonly onWritten: () => void;
}

const DEFAULT_BUCKETS = 1_024;
const MAX_BUCKETS = 65_536;
const MAX_PAGE_SIZE = 1_000;

/** tandem.assistant.v1.IngressInvites: creating invites while the assistant decides, and comparing them. */
export function ingressInvitesHandlers(
  options: () => IngressInvitesOptions,
): Handlers<typeof IngressInvites> {
  return {
    createIngressInvite: async ({ requestId, invite }, context) => {
      const { database, receipts, keys, instanceId, onWritten } = options();
      const { deadline, signal } = context;
      const { row, secrets } = await createInviteOnce(
        { database, receipts, table: "assistant_ingress_invites", keys: keys(), instanceId },
        { caller: callerOf(context), requestId, invite, deadline, signal },
      );
      onWritten();
      return { invite: toInvite(row), secrets: secrets ?? {} };
    },
    digestInvites: async ({ buckets, bucket, updatedBefore, pageSize, pageToken }) => {
      const side = createDatabaseSide("assistant", options().database);
      const parts = buckets === 0 ? DEFAULT_BUCKETS : buckets;
      if (parts < 1 || parts > MAX_BUCKETS) {
        throw invalidField({ field: "buckets", why: `must be from 1 to ${MAX_BUCKETS}` });
      }
      const before = updatedBefore === undefined ? "infinity" : timestampDate(updatedBefore).toISOString();
      if (bucket === undefined)
        return {
          digests: [...(await side.digests("invite", { buckets: parts, since: "-infinity", before }))].map(
            toDigest,
          ),
        };
      const maxRows = pageSize > 0 ? Math.min(pageSize, MAX_PAGE_SIZE) : MAX_PAGE_SIZE;
      const after = pageToken === "" ? undefined : pageToken;
      const rows = await side.list("invite", {
        buckets: parts,
        since: "-infinity",
        before,
        parts: [bucket],
        maxRows,
        ...(after === undefined ? {} : { after }),
      });
      return {
        rows: rows.map(({ id, version, deleted, digest, updatedAt }) => ({
          id,
          version,
          deleted,
          digest: Uint8Array.from(digest),
          ...(updatedAt === undefined ? {} : { updateTime: toTimestamp(updatedAt) }),
        })),
        nextPageToken: rows.length < maxRows ? "" : (rows.at(-1)?.id ?? ""),
      };
    },
  };
}

function toDigest({
  bucket,
  held,
  digest,
}: {
  readonly bucket: number;
  readonly held: number;
  readonly digest: Uint8Array;
}) {
  return { bucket, count: BigInt(held), digest: Uint8Array.from(digest) };
}

// A rule that let anyone in would be a slip: whoever is nobody has no requests of its own.
function callerOf({ caller, method }: HandlerContext): string {
  if (caller !== undefined) return caller;
  throw new HandlerError({ reason: "UNAUTHENTICATED", message: `Nothing says who calls ${method}.` });
}
