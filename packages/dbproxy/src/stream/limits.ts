/** What bounds the streams of one client. */
export interface StreamLimits {
  /** How many streams are open at most, one for each instance of the owner that answers. */
  readonly maxStreams: number;
  /**
   * A stream to a further instance is looked for when there are transactions and one was lost, and then after between the
   * first and the second of these: twice as long after each time that none was found.
   */
  readonly minSearchMs: number;
  readonly maxSearchMs: number;
  /** What is gathered in one message, with 256 bytes for what is around each. A transaction that is larger goes alone. */
  readonly maxGatheredBytes: number;
  /** After so long without a transaction the streams are ended. */
  readonly idleMs: number;
  /** How long calls are made one by one where the other side takes no stream, before one is tried again. */
  readonly withoutMs: number;
}

export const defaultStreamLimits: StreamLimits = {
  maxStreams: 8,
  minSearchMs: 50,
  maxSearchMs: 5_000,
  maxGatheredBytes: 64 * 1024,
  idleMs: 10_000,
  withoutMs: 60_000,
};
