import {
  InviteMirror,
  type MirrorInviteCreateRequest,
  type MirrorInviteCreateStreamRequest,
  type MirrorInviteCreateStreamResponse,
} from "@tandem/contract/tandem/gateway/v1/invite_mirror";
import { toMirrorContactRequest, toMirrorRequest } from "@tandem/invites";
import {
  bringInGroups,
  isOfTheItem,
  mayBeOfOne,
  type MirroredAggregate,
  type MirrorItem,
} from "@tandem/postgres";
import {
  BegunCall,
  type CallOptions,
  type Channel,
  createClient,
  HandlerError,
  StatusCode,
  TransportError,
} from "@tandem/rpc";
import { sendable } from "./sendable.ts";

export interface ToGatewayOptions {
  readonly channel: Channel;
  readonly instanceId: string;
  /** How long a batch may take to be answered. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
// Of what is sent by calls: contacts, since they are few beside invites.
const AT_ONCE = 32;

/** What the assistant decides about, as it is brought to the gateway. */
export function mirroredToGateway({
  channel,
  instanceId,
  timeoutMs = TIMEOUT_MS,
}: ToGatewayOptions): readonly MirroredAggregate[] {
  const { mirrorContact } = createClient(InviteMirror, channel);
  const asContact = { channel, method: InviteMirror.method.mirrorContact };
  const asInvite = { channel, method: InviteMirror.method.mirrorInviteCreate };
  return [
    {
      name: "contact",
      deliver: (items, signal) => {
        const send = async (item: MirrorItem): Promise<Error | undefined> => {
          const request = sendable(item, () => toMirrorContactRequest(item, instanceId), asContact);
          if (request instanceof HandlerError) return request;
          return mirrorContact(request, { signal, timeoutMs }).then(() => undefined, asFailure);
        };
        return bringInGroups(items, AT_ONCE, (some) => Promise.all(some.map(send)));
      },
    },
    {
      name: "invite",
      deliver: (items, signal) => {
        const requests = items.map((item) =>
          sendable(item, () => toMirrorRequest(item, instanceId), asInvite),
        );
        return deliverInvites(channel, requests, { signal, timeoutMs });
      },
      refersTo: ({ state }) => {
        if (state === undefined) return undefined;
        const { contact_id: id } = JSON.parse(state) as { readonly contact_id?: string };
        return id === undefined ? undefined : { aggregate: "contact", id };
      },
    },
  ];
}

// What is neither is a defect, and no failure of this one item.
function asFailure(error: unknown): HandlerError | TransportError {
  if (error instanceof HandlerError || error instanceof TransportError) return error;
  throw error;
}

type Sendable = MirrorInviteCreateRequest | HandlerError;
type Options = CallOptions & { readonly signal: AbortSignal };

/** All over one stream; and what one of them may have brought upon the others is tried again by itself. */
async function deliverInvites(
  channel: Channel,
  requests: readonly Sendable[],
  options: Options,
): Promise<readonly (Error | undefined)[]> {
  const { mirrorInviteCreate } = createClient(InviteMirror, channel);
  const { failures, unsettled } = await sendOverStream(channel, requests, options);
  if (unsettled.length === 0 || options.signal.aborted) return failures;
  const send = ({ request }: (typeof unsettled)[number]): Promise<Error | undefined> =>
    mirrorInviteCreate(request, options).then(() => undefined, asFailure);
  const again = await bringInGroups(unsettled, AT_ONCE, (some) => Promise.all(some.map(send)));
  const settled = new Map(unsettled.map(({ index }, at) => [index, again[at]]));
  return failures.map((failure, index) => (settled.has(index) ? settled.get(index) : failure));
}

interface Streamed {
  /** What came of each. */
  readonly failures: readonly (Error | undefined)[];
  /** Those of which that says too little: another one may have been the reason. */
  readonly unsettled: readonly { readonly index: number; readonly request: MirrorInviteCreateRequest }[];
}

/** Rejects where the gateway takes nothing at all. */
async function sendOverStream(
  channel: Channel,
  requests: readonly Sendable[],
  options: Options,
): Promise<Streamed> {
  const call = new BegunCall(channel, InviteMirror.method.mirrorInviteCreate, options);
  const answers = new Map<bigint, MirrorInviteCreateStreamResponse>();
  async function* sent(): AsyncGenerator<Pick<MirrorInviteCreateStreamRequest, "id" | "request">> {
    for (const [index, request] of requests.entries()) {
      if (!(request instanceof HandlerError)) yield { id: idAt(index), request };
    }
  }
  call.sent = "maybe";
  let end: Error = call.error(StatusCode.UNKNOWN, "the stream ended before it was answered");
  try {
    const { mirrorInviteCreateStream } = createClient(InviteMirror, channel);
    for await (const answer of mirrorInviteCreateStream(sent(), options)) answers.set(answer.id, answer);
  } catch (error) {
    end = asFailure(error);
    // Those that were answered have been delivered.
    if (answers.size === 0 && !mayBeOfOne(end)) throw error;
  }
  const unsettled: Streamed["unsettled"][number][] = [];
  const failures = requests.map((request, index) => {
    if (request instanceof HandlerError) return request;
    const answer = answers.get(idAt(index));
    const failure = answer === undefined ? end : failureOf(answer, call);
    if (failure !== undefined && mayBeOfOne(failure) && (answer === undefined || !isOfTheItem(failure)))
      unsettled.push({ index, request });
    return failure;
  });
  return { failures, unsettled };
}

const idAt = (index: number): bigint => BigInt(index) + 1n;

function failureOf({ outcome }: MirrorInviteCreateStreamResponse, call: BegunCall): Error | undefined {
  if (outcome.case === "response") return undefined;
  if (outcome.case === "error") return call.fromAnswer(outcome.value);
  return call.error(StatusCode.UNKNOWN, "it was answered by nothing");
}
