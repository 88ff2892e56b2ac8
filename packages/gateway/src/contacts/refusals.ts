import { HandlerError } from "@tandem/rpc";

export function contactNotFound(): HandlerError {
  return new HandlerError({ reason: "CONTACT_NOT_FOUND", message: "There is no contact with this id." });
}

export function channelNotFound(): HandlerError {
  return new HandlerError({ reason: "CHANNEL_NOT_FOUND", message: "There is no channel with this id." });
}

/** It has another version than was expected. */
export function staleVersion(what: "contact" | "channel", version: bigint): HandlerError {
  return new HandlerError({
    reason: "STALE_VERSION",
    message: `The ${what} has version ${version}: read it again, and decide anew.`,
    fields: [{ field: "expected_version", description: `is not ${version}, the version of the ${what}` }],
  });
}
