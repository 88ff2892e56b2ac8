import { changeChannel as change, channelById, lockContactOfChannel } from "@tandem/assistant-statements";
import type { HandlerError } from "@tandem/rpc";
import type { Decider, WriteOptions } from "../authority/decider.ts";
import { step } from "../authority/declared-step.ts";
import { requireAuthority } from "../authority/require-authority.ts";
import { type ChannelMessage, toChannel } from "./contact-messages.ts";
import type { ChannelChange } from "./parse-channel-change.ts";
import { channelNotFound, staleVersion } from "./refusals.ts";
import { writeGuarded } from "./write-guarded.ts";

// Who says that it is whose it should be.
const VERIFIED_VIA = "gateway";

/** Verifies, revokes, blocks or allows a channel. Fails with a HandlerError: CHANNEL_NOT_FOUND, STALE_VERSION. */
export async function changeChannel(
  decider: Decider,
  { id, status, policy, reason, expectedVersion }: ChannelChange,
  options: WriteOptions,
): Promise<ChannelMessage> {
  const verifiedVia = status === "active" ? VERIFIED_VIA : null;
  const steps = [
    step(lockContactOfChannel, { id }),
    step(change, { id, status, policy, reason, verifiedVia, expectedVersion }, { min: 1 }),
  ] as const;
  const explain = async (): Promise<HandlerError | undefined> => {
    await requireAuthority(decider, options);
    const [current] = await decider.read(step(channelById, { id }), options);
    if (current === undefined) return channelNotFound();
    const isExpected = expectedVersion === null || current.channelVersion === expectedVersion;
    return isExpected ? undefined : staleVersion("channel", current.channelVersion);
  };
  const [, changed] = await writeGuarded(() => decider.write(steps, options), {
    signal: options.signal,
    explain,
  });
  const [row] = changed.rows;
  if (row === undefined) throw channelNotFound();
  return toChannel(row);
}
