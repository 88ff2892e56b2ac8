import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { TimestampSchema, timestampNow } from "@bufbuild/protobuf/wkt";
import {
  type StepResult,
  StepResultSchema,
  type TransactionResponse,
  TransactionResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { EncodedMessage } from "@tandem/rpc";

// Any run of whole fields is an encoding by itself, so that parts one behind the other are the response: its results
// are encoded once, for the receipt and for the answer.

/** The part that says when it was committed: now. */
export function encodeCommittedNow(): Uint8Array {
  return new BinaryWriter().uint32(TAG.committedAt).bytes(toBinary(TimestampSchema, timestampNow())).finish();
}

export function encodeWriteToken(writeToken: string): Uint8Array {
  return new BinaryWriter().uint32(TAG.writeToken).string(writeToken).finish();
}

/** What is kept of results for their replay where their rows are too many. */
export function encodeWithoutRows(results: readonly StepResult[]): Uint8Array {
  const counts = results.map(({ changes }) => create(StepResultSchema, { changes }));
  const without = create(TransactionResponseSchema, { results: counts, rowsOmitted: true });
  return toBinary(TransactionResponseSchema, without);
}

/** The answer to whoever sends the request again. */
export function toReplay(stored: Uint8Array, writeToken: string): EncodedMessage {
  return new EncodedMessage(Buffer.concat([stored, REPLAYED, encodeWriteToken(writeToken)]));
}

export function fromStoredResponse(stored: Uint8Array, writeToken: string): TransactionResponse {
  return fromBinary(TransactionResponseSchema, toReplay(stored, writeToken).bytes);
}

// Number and type of each field: https://protobuf.dev/programming-guides/encoding/#structure
const TAG = { replayed: (2 << 3) | 0, committedAt: (3 << 3) | 2, writeToken: (4 << 3) | 2 } as const;
const REPLAYED = new BinaryWriter().uint32(TAG.replayed).bool(true).finish();
