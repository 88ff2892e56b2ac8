import type { DbProxyLimits } from "./limits.ts";

/** What one client may spend on retries, so that a peer that struggles isn't hit by more calls than before. */
export interface RetryBudget {
  /** A call begins: it adds its share, up to the burst. */
  earn(): void;
  /** Takes a retry out, or says that there is none left. */
  spend(): boolean;
}

/** Creates a budget with the whole burst in it. */
export function createRetryBudget({
  retryBurst,
  retriesPerCall,
}: Pick<DbProxyLimits, "retryBurst" | "retriesPerCall">): RetryBudget {
  let left = retryBurst;
  return {
    earn: () => {
      left = Math.min(retryBurst, left + retriesPerCall);
    },
    spend: () => {
      if (left < 1) return false;
      left -= 1;
      return true;
    },
  };
}
