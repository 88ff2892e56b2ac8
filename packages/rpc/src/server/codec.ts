import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { countingFields, MAX_DEPTH, TooManyFieldsError } from "../count-fields.ts";
import { toPlain } from "../decode.ts";
import { encoding } from "../encode.ts";
import { HandlerError } from "../errors/handler-error.ts";
import type { OutcomeName } from "../errors/reasons.ts";
import type { RpcLimits } from "../limits.ts";
import { EncodedMessage } from "./encoded-message.ts";
import type { RequestReading } from "./unary-handler.ts";
import type { TimeSlices } from "../time-slices.ts";

/** What messages are decoded and encoded with: within the limits, and large ones in slices of time. */
export interface Codec {
  readonly limits: RpcLimits;
  readonly slices: TimeSlices;
}

/**
 * Reads a request, once its fields are counted where it could have too many. Fails with a HandlerError of this outcome
 * where it is too large, or none of its kind.
 */
export async function decodeRequest<T>(
  { schema, read }: RequestReading<T>,
  received: Uint8Array,
  { limits, slices, outcome = "NOT_COMMITTED" }: Codec & { readonly outcome?: OutcomeName },
): Promise<T> {
  const { maxRequestBytes, maxRequestFields } = limits;
  const bytes = toPlain(received);
  if (bytes.byteLength > maxRequestBytes) {
    const message = `The message has ${bytes.byteLength} bytes, the limit is ${maxRequestBytes}: send less at a time.`;
    throw new HandlerError({ reason: "REQUEST_TOO_LARGE", message, outcome });
  }
  try {
    // A field takes a byte at least.
    if (bytes.byteLength > maxRequestFields)
      await slices.run(countingFields(schema, bytes, maxRequestFields));
    return await slices.run(read(bytes));
  } catch (cause) {
    if (cause instanceof TooManyFieldsError) {
      const message = `The message has ${cause.message}: send less at a time.`;
      throw new HandlerError({ reason: "REQUEST_TOO_LARGE", message, outcome });
    }
    throw new HandlerError({
      reason: "INVALID_REQUEST",
      message: `This is not a ${schema.typeName}, or it is nested more than ${MAX_DEPTH} deep.`,
      outcome,
      cause,
    });
  }
}

/** Encodes a response. Fails with a HandlerError where it is larger than one may be. */
export async function encodeResponse<O extends DescMessage>(
  schema: O,
  response: MessageInitShape<O> | EncodedMessage,
  { limits, slices }: Codec,
): Promise<Uint8Array> {
  const isEncoded = response instanceof EncodedMessage;
  const bytes = isEncoded ? response.bytes : await slices.run(encoding(schema, create(schema, response)));
  const { maxResponseBytes } = limits;
  if (bytes.byteLength <= maxResponseBytes) return bytes;
  // By now the handler has done its work: a handler whose effects could be lost this way must check
  // the size itself, before it commits.
  throw new HandlerError({
    reason: "RESULT_TOO_LARGE",
    outcome: "UNKNOWN",
    message: `The answer has ${bytes.byteLength} bytes, the limit is ${maxResponseBytes}: ask for less at a time.`,
  });
}
