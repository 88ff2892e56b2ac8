import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  TransactionStreamRequestSchema,
  TransactionStreamResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { CALL_ID_HEADER } from "@tandem/rpc";

// A request is encoded once and an answer decoded by whom it is for, so what is around them is put together and taken
// apart here, without a look inside.

/** One entry of a message to the owner. */
export type StreamEntry =
  | {
      readonly id: number;
      readonly request: Uint8Array;
      /** What is left of the caller's time, in milliseconds; none is said where it is infinite. */
      readonly timeoutMs: number;
      readonly callId: string | undefined;
    }
  | { readonly id: number; readonly cancel: true };

/** One entry of a message from the owner; the bytes are those of the message inside. */
export type StreamAnswer =
  | { readonly kind: "response" | "error"; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: "go away" };

/** How many bytes an entry takes at most beside its request: the id, the time, the call's id, tags and lengths. */
export const MAX_ENTRY_OVERHEAD = 256;

/** Makes messages of entries, of which each has at least one, in the same memory again and again. */
export class EntryWriter {
  readonly #writer = new BinaryWriter();
  #isFirst = true;

  encode(entries: readonly StreamEntry[]): Buffer {
    const writer = this.#writer;
    for (const [index, entry] of entries.entries()) {
      if (index === 0) {
        writeEntry(writer, entry);
      } else {
        writer.uint32(MORE).fork();
        writeEntry(writer, entry);
        writer.join();
      }
    }
    if (this.#isFirst) writer.uint32(READS_MORE).bool(true);
    this.#isFirst = false;
    const bytes = writer.finish();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}

function writeEntry(writer: BinaryWriter, entry: StreamEntry): void {
  writer.uint32(ID).uint64(entry.id);
  if ("cancel" in entry) {
    writer.uint32(CANCEL).bool(true);
    return;
  }
  writer.uint32(REQUEST).bytes(entry.request);
  if (entry.timeoutMs !== Infinity) writeTimeout(writer, entry.timeoutMs);
  if (entry.callId !== undefined) {
    writer.uint32(METADATA).fork();
    writer.uint32(KEY).string(CALL_ID_HEADER).uint32(VALUE).string(entry.callId);
    writer.join();
  }
}

function writeTimeout(writer: BinaryWriter, timeoutMs: number): void {
  const ms = Math.min(Math.max(0, timeoutMs), MAX_TIMEOUT_MS);
  const seconds = Math.floor(ms / 1_000);
  writer.uint32(TIMEOUT).fork();
  writer.uint32(SECONDS).int64(seconds);
  writer.uint32(NANOS).int32(Math.round((ms - seconds * 1_000) * 1e6));
  writer.join();
}

/**
 * What a message of the owner's holds, in its order. What this version doesn't know of it is left out.
 *
 * @throws Error where the bytes are no such message
 */
export function readAnswers(message: Uint8Array): StreamAnswer[] {
  const answers: StreamAnswer[] = [];
  const more: Uint8Array[] = [];
  readAnswer(message, answers, more);
  for (const bytes of more) readAnswer(bytes, answers, undefined);
  return answers;
}

function readAnswer(bytes: Uint8Array, answers: StreamAnswer[], more: Uint8Array[] | undefined): void {
  const reader = new BinaryReader(bytes);
  let id = 0;
  let outcome: { kind: "response" | "error"; bytes: Uint8Array } | { kind: "go away" } | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === answer.id.number) id = Number(reader.uint64());
    else if (field === answer.response.number) outcome = { kind: "response", bytes: reader.bytes() };
    else if (field === answer.error.number) outcome = { kind: "error", bytes: reader.bytes() };
    else if (field === answer.goAway.number) outcome = reader.bool() ? { kind: "go away" } : undefined;
    else if (field === answer.more.number) more?.push(reader.bytes());
    else reader.skip(wireType, field);
  }
  if (reader.pos > reader.len) throw new RangeError("A field in it ends beyond the message.");
  if (outcome === undefined) return;
  answers.push(outcome.kind === "go away" ? outcome : { ...outcome, id });
}

// A year is more than anybody waits, and less than a Duration holds.
const MAX_TIMEOUT_MS = 365 * 24 * 3_600 * 1_000;

const { id, request, cancel, timeout, metadata, more, readsMore } = TransactionStreamRequestSchema.field;
const ID = (id.number << 3) | WireType.Varint;
const REQUEST = (request.number << 3) | WireType.LengthDelimited;
const CANCEL = (cancel.number << 3) | WireType.Varint;
const TIMEOUT = (timeout.number << 3) | WireType.LengthDelimited;
const METADATA = (metadata.number << 3) | WireType.LengthDelimited;
const MORE = (more.number << 3) | WireType.LengthDelimited;
const READS_MORE = (readsMore.number << 3) | WireType.Varint;

// google.protobuf.Duration; an entry of a map.
const SECONDS = (1 << 3) | WireType.Varint;
const NANOS = (2 << 3) | WireType.Varint;
const KEY = (1 << 3) | WireType.LengthDelimited;
const VALUE = (2 << 3) | WireType.LengthDelimited;

const answer = TransactionStreamResponseSchema.field;
