import { fromBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  type TransactionResponse,
  TransactionResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { EncodedMessage, lengthTag, varintTag } from "@tandem/rpc";

// Any run of whole fields is an encoding by itself, so that parts one behind the other are the response: its results
// are encoded once, for the receipt and for the answer.

/** The part that says when it was committed: now. */
export function encodeCommittedNow(): Uint8Array {
  const now = Date.now();
  const seconds = Math.floor(now / 1_000);
  const writer = new BinaryWriter().uint32(COMMITTED_AT).fork().uint32(SECONDS).int64(seconds);
  const nanos = (now - seconds * 1_000) * 1_000_000;
  if (nanos !== 0) writer.uint32(NANOS).int32(nanos);
  return writer.join().finish();
}

export function encodeWriteToken(writeToken: string): Uint8Array {
  return new BinaryWriter().uint32(WRITE_TOKEN).string(writeToken).finish();
}

/** The answer to whoever sends the request again. */
export function toReplay(stored: Uint8Array, writeToken: string): EncodedMessage {
  return new EncodedMessage(Buffer.concat([stored, REPLAYED, encodeWriteToken(writeToken)]));
}

export function fromStoredResponse(stored: Uint8Array, writeToken: string): TransactionResponse {
  return fromBinary(TransactionResponseSchema, toReplay(stored, writeToken).bytes);
}

const response = TransactionResponseSchema.field;
const COMMITTED_AT = lengthTag(response.committedAt);
const WRITE_TOKEN = lengthTag(response.writeToken);
const SECONDS = varintTag(TimestampSchema.field.seconds);
const NANOS = varintTag(TimestampSchema.field.nanos);
const REPLAYED = new BinaryWriter().uint32(varintTag(response.replayed)).bool(true).finish();

/** Stands behind results whose rows were too many to be kept for their replay. */
export const ROWS_OMITTED: Uint8Array = new BinaryWriter()
  .uint32(varintTag(response.rowsOmitted))
  .bool(true)
  .finish();
