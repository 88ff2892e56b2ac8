import {
  InviteMirror,
  type MirrorInviteCreateStreamRequest,
  type MirrorInviteCreateStreamResponse,
} from "@tandem/contract/tandem/gateway/v1/invite_mirror";
import { toMirrorContactRequest, toMirrorRequest } from "@tandem/invites";
import type { MirroredAggregate, MirrorItem } from "@tandem/postgres";
import { BegunCall, type Channel, createClient, HandlerError, StatusCode, TransportError } from "@tandem/rpc";

export interface ToGatewayOptions {
  readonly channel: Channel;
  readonly instanceId: string;
  /** How long a batch may take to be answered. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
// Contacts are few beside invites, and are sent by calls.
const CONTACTS_AT_ONCE = 32;

/** What the assistant decides about, as it is brought to the gateway. */
export function mirroredToGateway({
  channel,
  instanceId,
  timeoutMs = TIMEOUT_MS,
}: ToGatewayOptions): readonly MirroredAggregate[] {
  const client = createClient(InviteMirror, channel);
  return [
    {
      name: "contact",
      deliver: async (items, signal) => {
        const results: (Error | undefined)[] = [];
        for (let from = 0; from < items.length; from += CONTACTS_AT_ONCE) {
          const some = items.slice(from, from + CONTACTS_AT_ONCE);
          const send = async (item: MirrorItem): Promise<Error | undefined> => {
            const request = written(() => toMirrorContactRequest(item, instanceId));
            if (request instanceof HandlerError) return request;
            return client.mirrorContact(request, { signal, timeoutMs }).then(() => undefined, asFailure);
          };
          const failures = await Promise.all(some.map(send));
          results.push(...failures);
          // What doesn't answer any of them is not asked for the rest.
          const [first] = failures;
          if (failures.every((failure) => failure instanceof TransportError)) {
            return items.map((_, at) => (at < results.length ? results[at] : first));
          }
        }
        return results;
      },
    },
    {
      name: "invite",
      deliver: (items, signal) => deliverInvites(channel, items, { instanceId, signal, timeoutMs }),
      refersTo: ({ state = "null" }) => {
        const { contact_id: id } = JSON.parse(state) as { readonly contact_id?: string };
        return id === undefined ? undefined : { aggregate: "contact", id };
      },
    },
  ];
}

// What is neither is a defect, and no failure of this one item.
function asFailure(error: unknown): Error {
  if (error instanceof HandlerError || error instanceof TransportError) return error;
  throw error;
}

/** What is sent, or a refusal where the row can't be said in the contract's terms: a time beyond its years. */
function written<T>(write: () => T): T | HandlerError {
  try {
    return write();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const message = `The row can't be sent: ${cause.message}`;
    return new HandlerError({ reason: "INVALID_REQUEST", message, cause });
  }
}

/** All over one stream, each answered by itself. */
async function deliverInvites(
  channel: Channel,
  items: readonly MirrorItem[],
  {
    instanceId,
    ...options
  }: { readonly instanceId: string; readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<readonly (Error | undefined)[]> {
  const call = new BegunCall(channel, InviteMirror.method.mirrorInviteCreate, options);
  const answers = new Map<bigint, MirrorInviteCreateStreamResponse>();
  const requests = items.map((item) => written(() => toMirrorRequest(item, instanceId)));
  async function* sent(): AsyncGenerator<Pick<MirrorInviteCreateStreamRequest, "id" | "request">> {
    for (const [index, request] of requests.entries()) {
      if (!(request instanceof HandlerError)) yield { id: BigInt(index) + 1n, request };
    }
  }
  try {
    const { mirrorInviteCreateStream } = createClient(InviteMirror, channel);
    for await (const answer of mirrorInviteCreateStream(sent(), options)) answers.set(answer.id, answer);
  } catch (error) {
    // Those that were answered have been delivered.
    if (answers.size === 0) throw error;
  }
  call.sent = "maybe";
  return requests.map((request, index) =>
    request instanceof HandlerError ? request : failureOf(answers.get(BigInt(index) + 1n), call),
  );
}

function failureOf(answer: MirrorInviteCreateStreamResponse | undefined, call: BegunCall): Error | undefined {
  const { outcome } = answer ?? {};
  if (outcome?.case === "response") return undefined;
  if (outcome?.case === "error") return call.fromAnswer(outcome.value);
  return call.error(StatusCode.UNKNOWN, "the stream ended before it was answered");
}
