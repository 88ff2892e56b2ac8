import { durationFromMs, type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import {
  Authority,
  type Cutover,
  FindingKind,
  Phase,
  Repair,
} from "@tandem/contract/tandem/gateway/v1/cutover";
import { toTimestamp } from "@tandem/invites";
import {
  type Backlog,
  type Finding,
  type MirrorSide,
  moveAuthority,
  type RepairDirection,
  verifyMirror,
} from "@tandem/postgres";
import { type Handlers, invalidField, unlessAborted } from "@tandem/rpc";
import { readAuthorities } from "../authority/read-authorities.ts";

/** The gateway's side, and the assistant's. */
export type Sides = readonly [MirrorSide, MirrorSide];

// Contacts first: invites refer to them.
const AGGREGATES = ["contact", "invite"];
// Who decides is told without the side that doesn't.
const MIRROR_ANSWERS_MS = 1_000;
const DRAIN_MS = 5_000;
const MAX_DRAIN_MS = 60_000;
const SETTLE_MS = 2_000;
const MAX_SETTLE_MS = 60_000;

/** tandem.gateway.v1.Cutover. */
export function cutoverHandlers(sides: () => Sides): Handlers<typeof Cutover> {
  const look = async () => {
    const [own, other] = sides();
    const known = await readAuthorities(own, other);
    const [decides, mirror] = known.authority === own.name ? [own, other] : [other, own];
    return { known, decides, mirror };
  };
  return {
    getAuthority: async () => {
      const { known, decides, mirror } = await look();
      const { authority, phase, epoch, since } = known;
      const asked = unlessAborted(mirror.backlog(), AbortSignal.timeout(MIRROR_ANSWERS_MS));
      const [backlog, leftBehind] = await Promise.all([decides.backlog(), asked.catch(() => undefined)]);
      return {
        authority: toAuthority(authority),
        phase: phase === "settled" ? Phase.SETTLED : Phase.DRAINING,
        epoch,
        since: toTimestamp(since),
        backlog: toBacklog(backlog),
        ...(leftBehind && { leftBehind: toBacklog(leftBehind) }),
      };
    },
    setAuthority: async ({ authority, expectedEpoch, drainTimeout }, { signal }) => {
      const moved = await moveAuthority({
        sides: sides(),
        to: toSide(authority),
        expectedEpoch,
        drainTimeoutMs: parseTime(drainTimeout, {
          field: "drain_timeout",
          byDefault: DRAIN_MS,
          max: MAX_DRAIN_MS,
        }),
        aggregates: AGGREGATES,
        signal,
      });
      return {
        authority: toAuthority(moved.authority),
        epoch: moved.epoch,
        held: durationFromMs(Math.ceil(moved.heldMs)),
      };
    },
    async *verifyMirror({ repair, settle }, { signal }) {
      const { decides, mirror } = await look();
      const settleMs = parseTime(settle, { field: "settle", byDefault: SETTLE_MS, max: MAX_SETTLE_MS });
      const verifying = verifyMirror({
        decides,
        mirror,
        aggregates: AGGREGATES,
        repair: toDirection(repair),
        settleMs,
        signal,
      });
      const found: Finding[] = [];
      for (;;) {
        const next = await verifying.next();
        if (next.done === true) {
          yield { event: { case: "summary", value: summaryOf(found, next.value) } };
          return;
        }
        found.push(next.value);
        yield { event: { case: "finding", value: toFinding(next.value) } };
      }
    },
  };
}

function toBacklog({ pending, parked, oldestAgeMs }: Backlog) {
  return {
    pending: BigInt(pending),
    parked: BigInt(parked),
    oldestAge: durationFromMs(Math.round(oldestAgeMs)),
  };
}

const findingKinds: Readonly<Record<Finding["kind"], FindingKind>> = {
  missing: FindingKind.MISSING,
  stale: FindingKind.STALE,
  different: FindingKind.DIFFERENT,
  orphan: FindingKind.ORPHAN,
  newer: FindingKind.NEWER,
};

function toFinding({ aggregate, id, kind, repaired }: Finding) {
  const subject = aggregate === "contact" ? { contactId: id } : { inviteId: id };
  return { ...subject, kind: findingKinds[kind], repaired };
}

function summaryOf(found: readonly Finding[], compared: number) {
  const count = (kind: Finding["kind"]): bigint =>
    BigInt(found.filter((finding) => finding.kind === kind).length);
  return {
    compared: BigInt(compared),
    missing: count("missing"),
    stale: count("stale"),
    different: count("different"),
    orphans: count("orphan"),
    newer: count("newer"),
    repaired: BigInt(found.filter(({ repaired }) => repaired).length),
  };
}

function toAuthority(side: string): Authority {
  return side === "gateway" ? Authority.GATEWAY : Authority.ASSISTANT;
}

function toSide(authority: Authority): string {
  if (authority === Authority.GATEWAY) return "gateway";
  if (authority === Authority.ASSISTANT) return "assistant";
  throw invalidField({ field: "authority", why: "must be AUTHORITY_GATEWAY or AUTHORITY_ASSISTANT" });
}

function toDirection(repair: Repair): RepairDirection {
  switch (repair) {
    case Repair.UNSPECIFIED:
      return "none";
    case Repair.FOLLOW_AUTHORITY:
      return "follow authority";
    case Repair.RECOVER_AUTHORITY:
      return "recover authority";
    default:
      throw invalidField({ field: "repair", why: "is none that this server knows" });
  }
}

function parseTime(
  asked: Duration | undefined,
  { field, byDefault, max }: { readonly field: string; readonly byDefault: number; readonly max: number },
): number {
  if (asked === undefined) return byDefault;
  const ms = durationMs(asked);
  if (ms > 0 && ms <= max) return ms;
  throw invalidField({ field, why: `must be longer than nothing, and at most ${max} ms` });
}
