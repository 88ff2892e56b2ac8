import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  StepResultSchema,
  type TransactionResponse,
  TransactionResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";

/** What is kept of a response for its replay: with its rows, or without them where they are too many. */
export function toStoredResponse(
  response: TransactionResponse,
  { withRows }: { readonly withRows: boolean },
): Uint8Array {
  if (withRows) return toBinary(TransactionResponseSchema, response);
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
