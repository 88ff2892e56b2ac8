import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  StepResultSchema,
  type TransactionResponse,
  TransactionResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";

/** What is kept of a response for its replay: without its rows where it is larger than `maxBytes`. */
export function toStoredResponse(response: TransactionResponse, maxBytes: number): Uint8Array {
  const whole = toBinary(TransactionResponseSchema, response);
  if (whole.byteLength <= maxBytes) return whole;
  const { results, committedAt } = response;
  const counts = results.map(({ changes }) => create(StepResultSchema, { changes }));
  const without = create(TransactionResponseSchema, { results: counts, rowsOmitted: true });
  if (committedAt !== undefined) without.committedAt = committedAt;
  return toBinary(TransactionResponseSchema, without);
}

/** The response as it is given to whoever sends the request again. */
export function fromStoredResponse(stored: Uint8Array): TransactionResponse {
  const response = fromBinary(TransactionResponseSchema, stored);
  response.replayed = true;
  return response;
}
