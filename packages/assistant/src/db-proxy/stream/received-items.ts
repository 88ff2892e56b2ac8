import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { HandlerError } from "@tandem/rpc";

/** A TransactionStreamRequest as it came, its request still encoded. */
export interface ReceivedItem {
  readonly id: bigint;
  readonly kind: "request" | "cancel" | undefined;
  readonly request: Uint8Array;
  readonly deadline: Date | undefined;
  /** By names in lower case. */
  readonly metadata: ReadonlyMap<string, string>;
  /** How many bytes it keeps in memory, with its part of the message that it came with. */
  readonly weight: number;
  /** What is wrong with it alone. */
  readonly flaw: HandlerError | undefined;
}

export interface ReceivedMessage {
  /** At least one: the message itself, and then those of `more`. */
  readonly items: readonly ReceivedItem[];
  readonly readsMore: boolean;
}

// What HTTP/2's servers commonly take of a call's headers.
const MAX_METADATA_BYTES = 8 * 1024;

const NO_BYTES = new Uint8Array(0);
const NO_METADATA: ReadonlyMap<string, string> = new Map();

export interface ReadingRules {
  /** Of a message. */
  readonly maxItems: number;
  /** Of all requests together, in a message that has more than one. */
  readonly maxGatheredBytes: number;
  /** When it came, in milliseconds since 1970. */
  readonly now: number;
}

/**
 * Reads a TransactionStreamRequest and no deeper: what it holds of requests is decoded by whoever runs them, each for
 * itself. Fails with a HandlerError, which ends the stream, where an item in it could not be answered under an id of
 * its own.
 */
export function readMessage(bytes: Uint8Array, rules: ReadingRules): ReceivedMessage {
  const { maxItems, maxGatheredBytes, now } = rules;
  try {
    const more: Uint8Array[] = [];
    const { item, readsMore } = readItem(bytes, now, (nested) => {
      more.push(nested);
      if (more.length >= maxItems)
        throw broken(`The message has more than ${maxItems} items: send less at a time.`);
    });
    if (more.length === 0) return { items: [item], readsMore };
    const items = [item];
    for (const nested of more) items.push(readItem(nested, now, refuseNested).item);
    let requestBytes = 0;
    for (const each of items) {
      each.weight = bytes.byteLength / items.length;
      requestBytes += each.request.byteLength;
    }
    if (requestBytes > maxGatheredBytes) {
      const flaw = tooLarge(
        `The message has ${requestBytes} bytes of requests, the limit for several is ${maxGatheredBytes}`,
      );
      for (const each of items) each.flaw = flaw;
    }
    return { items, readsMore };
  } catch (error) {
    if (error instanceof HandlerError) throw error;
    throw broken("This is not a tandem.assistant.v1.TransactionStreamRequest.", error);
  }
}

/** Until it is known what it came with. */
interface Draft extends ReceivedItem {
  weight: number;
  flaw: HandlerError | undefined;
}

function readItem(
  bytes: Uint8Array,
  now: number,
  onMore: (nested: Uint8Array) => void,
): { readonly item: Draft; readonly readsMore: boolean } {
  const { byteLength: weight } = bytes;
  const reader = new BinaryReader(bytes);
  let id = 0n;
  let kind: ReceivedItem["kind"];
  let request: Uint8Array = NO_BYTES;
  let deadline: Date | undefined;
  let metadata: Map<string, string> | undefined;
  let metadataBytes = 0;
  let readsMore = false;
  let flaw: HandlerError | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    switch (field) {
      case FIELD.id:
        expectType(wireType, WireType.Varint);
        id = BigInt(reader.uint64());
        break;
      case FIELD.request:
        expectType(wireType, WireType.LengthDelimited);
        if (kind !== undefined) flaw = twice();
        kind = "request";
        request = reader.bytes();
        break;
      case FIELD.cancel:
        expectType(wireType, WireType.Varint);
        if (kind !== undefined) flaw = twice();
        kind = "cancel";
        reader.bool();
        break;
      case FIELD.timeout:
        expectType(wireType, WireType.LengthDelimited);
        deadline = new Date(now + readTimeout(reader.bytes()));
        break;
      case FIELD.metadata: {
        expectType(wireType, WireType.LengthDelimited);
        const entry = reader.bytes();
        metadataBytes += entry.byteLength;
        if (metadataBytes > MAX_METADATA_BYTES)
          flaw = tooLarge(`Its metadata has more than ${MAX_METADATA_BYTES} bytes`);
        else readEntry(entry, (metadata ??= new Map()));
        break;
      }
      case FIELD.more:
        expectType(wireType, WireType.LengthDelimited);
        onMore(reader.bytes());
        break;
      case FIELD.readsMore:
        expectType(wireType, WireType.Varint);
        readsMore = reader.bool();
        break;
      default:
        reader.skip(wireType, field);
    }
  }
  if (id === 0n) throw broken("An item without an id can't be answered: ids begin with 1.");
  if (kind === undefined) flaw ??= invalid("It has neither a request nor a cancel.");
  return {
    item: { id, kind, request, deadline, metadata: metadata ?? NO_METADATA, weight, flaw },
    readsMore,
  };
}

const FIELD = { id: 1, request: 2, cancel: 3, timeout: 4, metadata: 5, more: 6, readsMore: 7 } as const;

function expectType(found: WireType, expected: WireType): void {
  if (found !== expected) throw new RangeError("A field in it is encoded as another type.");
}

/** Of a google.protobuf.Duration, rounded up; of one that is over, 0. */
function readTimeout(bytes: Uint8Array): number {
  const reader = new BinaryReader(bytes);
  let ms = 0;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1 && wireType === WireType.Varint) ms += Number(reader.int64()) * 1_000;
    else if (field === 2 && wireType === WireType.Varint) ms += reader.int32() / 1_000_000;
    else reader.skip(wireType, field);
  }
  return Math.max(0, Math.min(Math.ceil(ms), MAX_TIMEOUT_MS));
}

// Longer than anybody waits, and no more than a Date can hold.
const MAX_TIMEOUT_MS = 2 ** 40;

function readEntry(bytes: Uint8Array, metadata: Map<string, string>): void {
  const reader = new BinaryReader(bytes);
  let name = "";
  let value = "";
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1 && wireType === WireType.LengthDelimited) name = reader.string();
    else if (field === 2 && wireType === WireType.LengthDelimited) value = reader.string();
    else reader.skip(wireType, field);
  }
  metadata.set(name.toLowerCase(), value);
}

function refuseNested(): void {
  throw broken("What stands in `more` has no `more` of its own.");
}

function twice(): HandlerError {
  return invalid("It is a request or a cancel more than once.");
}

function invalid(message: string): HandlerError {
  return new HandlerError({ reason: "INVALID_REQUEST", message });
}

function tooLarge(what: string): HandlerError {
  return new HandlerError({ reason: "REQUEST_TOO_LARGE", message: `${what}: send less at a time.` });
}

/** Ends the stream: what became of its items by then is not known here. */
function broken(message: string, cause?: unknown): HandlerError {
  return new HandlerError({ reason: "INVALID_REQUEST", message, outcome: "UNKNOWN", cause });
}
