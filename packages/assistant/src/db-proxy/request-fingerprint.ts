import { create, toBinary } from "@bufbuild/protobuf";
import {
  StepSchema,
  type TransactionRequest,
  TransactionRequestSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { encoding, type Interruptible } from "@tandem/rpc";
import { hash } from "node:crypto";

// What a peer of another version may have added is not part of what this one runs.
const known = { writeUnknownFields: false };

/**
 * What tells a request from another one under the same request_id: its decoded steps, isolation and key. Not
 * how it was sent: the attempt, the timeouts and who asked may differ between two copies.
 */
export function* fingerprinting(request: TransactionRequest): Interruptible<Uint8Array> {
  const { isolation, serializationKey } = request;
  const around = create(TransactionRequestSchema, { isolation, serializationKey });
  const parts: Uint8Array[] = [toBinary(TransactionRequestSchema, around)];
  for (const step of request.steps) {
    const bytes = yield* encoding(StepSchema, step, known);
    // Its length says where it ends: two steps are not the bytes of one.
    parts.push(Buffer.from(`${bytes.byteLength};`), bytes);
    yield;
  }
  return hash("sha256", Buffer.concat(parts), "buffer");
}
