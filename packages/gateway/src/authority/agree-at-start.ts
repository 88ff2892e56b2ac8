import { agreeOnAuthority, type MirrorSide } from "@tandem/postgres";
import type { Logger } from "@tandem/rpc";

// How long writers of a side that has to be told are waited for.
const PATIENCE_MS = 5_000;

/**
 * Tells the one of the two databases that was restored as it was before the authority moved who decides, before the gateway
 * writes to either: it would take writes that nobody brings. Fails where that is the gateway's own and can't be told;
 * where the assistant's can't be asked or told, the log says so.
 */
export async function agreeAtStart(
  sides: readonly [own: MirrorSide, assistant: MirrorSide],
  { logger, signal }: { readonly logger: Logger; readonly signal: AbortSignal },
): Promise<void> {
  const [own, assistant] = sides;
  const warn = (err: unknown): void =>
    logger.warn({ err }, "whether the assistant's database says the same of who decides isn't known");
  const theirs = await assistant.authority().catch(warn);
  if (theirs === undefined) return;
  try {
    await agreeOnAuthority(sides, { until: performance.now() + PATIENCE_MS, signal });
  } catch (error) {
    if ((await own.authority()).epoch < theirs.epoch) throw error;
    warn(error);
  }
}
