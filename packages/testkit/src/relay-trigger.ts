/** Which way bytes go through a relay: from the client that connected to it, or to that client. */
export type Direction = "toServer" | "toClient";

/** A point in what a connection carries in one direction. */
export type TriggerCondition =
  | {
      readonly direction: Direction;
      /** After so many bytes. */
      readonly bytes: number;
    }
  | {
      readonly direction: Direction;
      /** Where these bytes are. */
      readonly contains: Buffer | string;
      /** Whether the bytes themselves are passed on first. They are held back where it isn't said. */
      readonly pass?: boolean;
    };

/** Something that will happen once. */
export interface RelayTrigger {
  /** Resolves when it has happened. */
  readonly fired: Promise<void>;
  /** It will no longer happen. */
  cancel(): void;
}

/** Bytes to pass on, or something to do between them. */
export type RelayItem = { readonly bytes: Buffer } | { readonly action: () => void };

/** The triggers of a relay. */
export interface Triggers<Connection> {
  readonly add: (condition: TriggerCondition, action: (connection: Connection) => void) => RelayTrigger;
  /** Gives a function that cuts what a connection carries at the points where something is to be done. */
  readonly watch: (direction: Direction, connection: Connection) => (chunk: Buffer) => RelayItem[];
}

interface Pending<Connection> {
  readonly direction: Direction;
  /** Where the point is in a chunk that comes after `seen`. */
  readonly locate: (seen: Seen, chunk: Buffer) => number | undefined;
  readonly fire: (connection: Connection) => void;
}

interface Seen {
  count: number;
  tail: Buffer;
}

/** Keeps triggers until the first connection reaches their point. */
export function createTriggers<Connection>(): Triggers<Connection> {
  const pending = new Set<Pending<Connection>>();
  return {
    add: (condition, action) => {
      const { promise: fired, resolve } = Promise.withResolvers<void>();
      const entry: Pending<Connection> = {
        direction: condition.direction,
        locate: "bytes" in condition ? locateCount(condition.bytes) : locateSequence(condition),
        fire: (connection) => {
          action(connection);
          resolve();
        },
      };
      pending.add(entry);
      return { fired, cancel: () => void pending.delete(entry) };
    },
    watch: (direction, connection) => {
      const seenBy = new WeakMap<Pending<Connection>, Seen>();
      return (chunk) => {
        const points: { at: number; entry: Pending<Connection> }[] = [];
        for (const entry of pending) {
          if (entry.direction !== direction) continue;
          const seen = seenBy.get(entry) ?? { count: 0, tail: Buffer.alloc(0) };
          seenBy.set(entry, seen);
          const at = entry.locate(seen, chunk);
          if (at !== undefined) points.push({ at, entry });
        }
        for (const { entry } of points) pending.delete(entry);
        return divide(
          chunk,
          points.toSorted((a, b) => a.at - b.at),
          connection,
        );
      };
    },
  };
}

function divide<Connection>(
  chunk: Buffer,
  points: readonly { at: number; entry: Pending<Connection> }[],
  connection: Connection,
): RelayItem[] {
  const items: RelayItem[] = [];
  let start = 0;
  for (const { at, entry } of points) {
    items.push({ bytes: chunk.subarray(start, at) }, { action: () => entry.fire(connection) });
    start = at;
  }
  items.push({ bytes: chunk.subarray(start) });
  return items.filter((item) => !("bytes" in item) || item.bytes.length > 0);
}

function locateCount(wanted: number): Pending<unknown>["locate"] {
  return (seen, chunk) => {
    const at = wanted - seen.count;
    seen.count += chunk.length;
    return at <= chunk.length ? at : undefined;
  };
}

// A sequence may have begun at the end of an earlier chunk.
function locateSequence(condition: {
  readonly contains: Buffer | string;
  readonly pass?: boolean;
}): Pending<unknown>["locate"] {
  const wanted = Buffer.from(condition.contains);
  if (wanted.length === 0) throw new Error("An empty sequence of bytes is nowhere.");
  return (seen, chunk) => {
    const joined = Buffer.concat([seen.tail, chunk]);
    const offset = seen.tail.length;
    seen.tail = joined.subarray(Math.max(0, joined.length - wanted.length + 1));
    const index = joined.indexOf(wanted);
    if (index === -1) return undefined;
    return Math.max(0, (condition.pass === true ? index + wanted.length : index) - offset);
  };
}
