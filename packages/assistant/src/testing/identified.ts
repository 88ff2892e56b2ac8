import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { TransactionRequestSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { randomBytes } from "node:crypto";

/** A request_id of a given time. */
export function requestIdAt(time: number): string {
  const hex = time.toString(16).padStart(12, "0") + randomBytes(10).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}

type Identity = Pick<MessageInitShape<typeof TransactionRequestSchema>, "requestId" | "meta">;

/** What a request has that may be sent again. */
export function identified(requestId = requestIdAt(Date.now())): Identity & { readonly requestId: string } {
  const meta = { sourceInstanceId: "test", requestedAt: timestampFromDate(new Date()) };
  return { requestId, meta };
}
