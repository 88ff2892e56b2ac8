import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import {
  type StepSchema,
  type TransactionRequest,
  TransactionRequestSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { newRequestId } from "@tandem/dbproxy";
import type { Workload, WorkStep, WorkValue } from "../workloads/workload.ts";
import { createTextTag, type TextAndValues } from "./statement-text.ts";

/** Makes one transaction of a workload after the other, as the contract has it: with a request_id, or without one. */
export function createRequests(
  workload: Workload,
  { requestId }: { readonly requestId: boolean },
): () => TransactionRequest {
  const tag = createTextTag();
  return () => {
    const steps = workload.steps(tag).map(toStep);
    const meta = { sourceInstanceId: "bench", requestedAt: timestampNow() };
    const identity = requestId ? { requestId: newRequestId(), meta } : {};
    return create(TransactionRequestSchema, { steps, ...identity });
  };
}

function toStep({ statement, changes }: WorkStep<TextAndValues>): MessageInitShape<typeof StepSchema> {
  const guard = changes === undefined ? {} : { minChanges: BigInt(changes), maxChanges: BigInt(changes) };
  return {
    statement: { case: "sql", value: statement.text },
    params: statement.values.map((value) => ({ kind: { case: "value", value: { kind: toKind(value) } } })),
    ...guard,
  };
}

function toKind(value: WorkValue) {
  return typeof value === "string"
    ? { case: "textValue" as const, value }
    : { case: "intValue" as const, value };
}
