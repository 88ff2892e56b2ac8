import type { Contacts as ContactsService } from "@tandem/contract/tandem/gateway/v1/contacts";
import { HandlerError, type HandlerContext, type Handlers } from "@tandem/rpc";
import type { Call, Contacts } from "../contacts/contacts.ts";

/** tandem.gateway.v1.Contacts. `contacts` gives what is there by the time of a call. */
export function contactsHandlers(contacts: () => Contacts): Handlers<typeof ContactsService> {
  return {
    upsertContact: async (request, context) => ({
      contact: await contacts().upsert(request, callOf(context)),
    }),
    getContact: async (request, context) => ({ contact: await contacts().get(request, callOf(context)) }),
    listContacts: async (request, context) => {
      const { contacts: found, nextPageToken } = await contacts().list(request, callOf(context));
      return { contacts: [...found], nextPageToken };
    },
    deleteContact: async (request, context) => {
      await contacts().delete(request, callOf(context));
      return {};
    },
    updateContactChannel: async (request, context) => ({
      channel: await contacts().updateChannel(request, callOf(context)),
    }),
    touchContactChannel: (request) => {
      contacts().touchChannel(request);
      return {};
    },
  };
}

// A rule that let anyone in would be a slip: whoever is nobody has no writes to be known again.
function callOf({ caller, method, deadline, signal }: HandlerContext): Call {
  if (caller !== undefined) return { caller, deadline, signal };
  throw new HandlerError({ reason: "UNAUTHENTICATED", message: `Nothing says who calls ${method}.` });
}
