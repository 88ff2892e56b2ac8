import type { CallOptions } from "@tandem/rpc";
import type { ProbeOptions } from "./requests.ts";

/** What bounds a call, over as many sends as it takes. */
export interface CallBounds {
  /** When the call is over, in milliseconds since 1970. */
  readonly deadline: number;
  /** Aborted when the caller, or the handler on whose behalf it calls, is no longer interested. */
  readonly signal: AbortSignal | undefined;
  /** For one send of it, which may be told to end earlier. */
  toCallOptions(deadline?: number): CallOptions;
}

/** @throws RangeError where `timeoutMs` is no number of milliseconds */
export function toCallBounds(
  {
    timeoutMs,
    signal,
    context,
  }: Omit<ProbeOptions, "timeoutMs"> & { readonly timeoutMs: number | undefined },
  { defaultTimeoutMs }: { readonly defaultTimeoutMs: number },
): CallBounds {
  if (timeoutMs !== undefined && !Number.isFinite(timeoutMs)) {
    throw new RangeError("timeoutMs is a number of milliseconds.");
  }
  const latest = context?.deadline?.getTime();
  const ownMs = timeoutMs ?? (latest === undefined ? defaultTimeoutMs : Infinity);
  const deadline = Math.min(Date.now() + ownMs, latest ?? Infinity, LATEST_DATE);
  const signals = [signal, context?.signal].filter((given) => given !== undefined);
  return {
    deadline,
    signal: signals.length > 1 ? AbortSignal.any(signals) : signals[0],
    toCallOptions: (until = deadline) => ({
      deadline: new Date(until),
      ...(signal === undefined ? {} : { signal }),
      ...(context === undefined ? {} : { context }),
    }),
  };
}

// What a Date can hold.
const LATEST_DATE = 8.64e15;
