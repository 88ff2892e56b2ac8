import type {
  DeleteContactRequest,
  ListContactsRequest,
  TouchContactChannelRequest,
  UpdateContactChannelRequest,
  UpsertContactRequest,
} from "@tandem/contract/tandem/gateway/v1/contacts";
import type { Logger } from "@tandem/rpc";
import { decideOnce } from "../authority/decide-once.ts";
import type { WriteOptions } from "../authority/decider.ts";
import type { Deciding } from "../authority/deciding.ts";
import { changeChannel } from "./change-channel.ts";
import type { ChannelMessage, ContactMessage } from "./contact-messages.ts";
import { deleteContact } from "./delete-contact.ts";
import { parseChannelChange } from "./parse-channel-change.ts";
import { parseUpsert } from "./parse-upsert.ts";
import { parsePage, readContact, readPage } from "./read-contacts.ts";
import { parseAddress, parseId, parseOptionalRequestId } from "./request-fields.ts";
import { createTouches, type TouchLimits } from "./touches.ts";
import { upsertContact } from "./upsert-contact.ts";
import { writeTouchesTo } from "./write-touches.ts";

/** Who asks, and for how long. */
export type Call = Omit<WriteOptions, "requestId">;

/** Contacts and their channels, in whichever database decides. Every function fails with a HandlerError. */
export interface Contacts extends AsyncDisposable {
  upsert(request: UpsertContactRequest, call: Call): Promise<ContactMessage>;
  get(request: { readonly id: string }, call: Call): Promise<ContactMessage>;
  list(
    request: ListContactsRequest,
    call: Call,
  ): Promise<{ readonly contacts: readonly ContactMessage[]; readonly nextPageToken: string }>;
  delete(request: DeleteContactRequest, call: Call): Promise<void>;
  updateChannel(request: UpdateContactChannelRequest, call: Call): Promise<ChannelMessage>;
  /** Returns before it is written: see `Touches`. */
  touchChannel(request: TouchContactChannelRequest): void;
}

/** Whoever makes it disposes of it, before the databases under it. */
export function createContacts(options: {
  readonly deciding: Deciding;
  readonly logger: Logger;
  readonly touchLimits?: Partial<TouchLimits>;
}): Contacts {
  const { deciding, logger, touchLimits = {} } = options;
  const touches = createTouches({ write: writeTouchesTo(deciding), logger, limits: touchLimits });
  return {
    async upsert(request, call) {
      const upsert = parseUpsert(request);
      const write = { ...call, requestId: upsert.requestId };
      return decideOnce(deciding, (decider) => upsertContact(decider, upsert, write), write);
    },
    async get(request, call) {
      const id = parseId(request.id);
      return deciding.decide((decider) => readContact(decider, id, call), call);
    },
    async list(request, call) {
      const page = parsePage(request);
      return deciding.decide((decider) => readPage(decider, page, call), call);
    },
    async delete(request, call) {
      const id = parseId(request.id);
      const write = { ...call, requestId: parseOptionalRequestId(request.requestId) };
      await decideOnce(deciding, (decider) => deleteContact(decider, id, write), write);
    },
    async updateChannel(request, call) {
      const change = parseChannelChange(request);
      const write = { ...call, requestId: change.requestId };
      return decideOnce(deciding, (decider) => changeChannel(decider, change, write), write);
    },
    touchChannel(request) {
      touches.touch(parseAddress(request));
    },
    [Symbol.asyncDispose]: () => touches[Symbol.asyncDispose](),
  };
}
