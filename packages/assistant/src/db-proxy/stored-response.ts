import { fromBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  type TransactionResponse,
  TransactionResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { EncodedMessage, lengthTag, varintTag, writeInt64 } from "@tandem/rpc";

// Any run of whole fields is an encoding by itself, so that parts one behind the other are the response: its results
// are encoded once, for the receipt and for the answer.

/** Writes the part that says when it was committed, in milliseconds since 1970. */
export function writeCommittedAt(writer: BinaryWriter, ms: number): void {
  const seconds = Math.floor(ms / 1_000);
  const nanos = (ms - seconds * 1_000) * 1_000_000;
  writer.uint32(COMMITTED_AT).fork();
  writeInt64(writer, SECONDS, seconds);
  if (nanos !== 0) writer.uint32(NANOS).int32(nanos);
  writer.join();
}

export function writeWriteToken(writer: BinaryWriter, writeToken: string): void {
  writer.uint32(WRITE_TOKEN).string(writeToken);
}

/** Says of results that stand before it without their rows that these were too many to be kept for a replay. */
export function writeRowsOmitted(writer: BinaryWriter): void {
  writer.uint32(ROWS_OMITTED).bool(true);
}

/** The answer to whoever sends the request again. */
export function toReplay(stored: Uint8Array, writeToken: string): EncodedMessage {
  const writer = new BinaryWriter().raw(stored).uint32(REPLAYED).bool(true);
  writeWriteToken(writer, writeToken);
  return new EncodedMessage(writer.finish());
}

export function fromStoredResponse(stored: Uint8Array, writeToken: string): TransactionResponse {
  return fromBinary(TransactionResponseSchema, toReplay(stored, writeToken).bytes);
}

const response = TransactionResponseSchema.field;
const COMMITTED_AT = lengthTag(response.committedAt);
const WRITE_TOKEN = lengthTag(response.writeToken);
const SECONDS = varintTag(TimestampSchema.field.seconds);
const NANOS = varintTag(TimestampSchema.field.nanos);
const REPLAYED = varintTag(response.replayed);
const ROWS_OMITTED = varintTag(response.rowsOmitted);
