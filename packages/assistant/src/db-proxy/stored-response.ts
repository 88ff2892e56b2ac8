import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type StepResult,
  StepResultSchema,
  type TransactionResponse,
  TransactionResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { EncodedMessage } from "@tandem/rpc";

type ResponseInit = MessageInitShape<typeof TransactionResponseSchema>;

/**
 * A part of a response, encoded. Any run of whole fields is an encoding by itself, so that parts one behind the other
 * are the response: its results are encoded once, for the receipt and for the answer.
 */
export function encodePart(part: ResponseInit): Uint8Array {
  return toBinary(TransactionResponseSchema, create(TransactionResponseSchema, part));
}

/** What is kept of results for their replay where their rows are too many. */
export function encodeWithoutRows(results: readonly StepResult[]): Uint8Array {
  const counts = results.map(({ changes }) => create(StepResultSchema, { changes }));
  return encodePart({ results: counts, rowsOmitted: true });
}

/** The answer to whoever sends the request again. */
export function toReplay(stored: Uint8Array, writeToken: string): EncodedMessage {
  return new EncodedMessage(Buffer.concat([stored, encodePart({ replayed: true, writeToken })]));
}

export function fromStoredResponse(stored: Uint8Array, writeToken: string): TransactionResponse {
  return fromBinary(TransactionResponseSchema, toReplay(stored, writeToken).bytes);
}
