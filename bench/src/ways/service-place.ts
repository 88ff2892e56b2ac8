import type { ChannelOptions } from "@tandem/rpc";
import type { LoadPlace } from "../row.ts";

/** Longer than anything waits here: where it passes, something hangs. */
export const CALL_TIMEOUT_MS = 60_000;

/** How the row's service is reached. */
export function channelOptions({ service }: LoadPlace): ChannelOptions {
  if (service === undefined) throw new Error("The row asks for no service: add `service: {}` to it.");
  return service;
}
