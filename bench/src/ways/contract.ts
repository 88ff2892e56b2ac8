import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { DbProxy, type StepSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { newRequestId } from "@tandem/dbproxy";
import { createChannel, createClient } from "@tandem/rpc";
import type { Caller, LoadPlace } from "../row.ts";
import type { Workload, WorkStep, WorkValue } from "../workloads/workload.ts";
import { CALL_TIMEOUT_MS, channelOptions } from "./service-place.ts";
import { createTextTag, type TextAndValues } from "./statement-text.ts";

/** DbProxy.Transaction through what is generated of the contract: with a request_id, or without one. */
export function withContract(workload: Workload, { requestId }: { readonly requestId: boolean }) {
  return (place: LoadPlace): Caller => {
    const channel = createChannel(channelOptions(place));
    const client = createClient(DbProxy, channel);
    const tag = createTextTag();
    return {
      call: async () => {
        const steps = workload.steps(tag).map(toStep);
        const meta = { sourceInstanceId: "bench", requestedAt: timestampNow() };
        const identity = requestId ? { requestId: newRequestId(), meta } : {};
        await client.transaction({ steps, ...identity }, { timeoutMs: CALL_TIMEOUT_MS });
      },
      close: () => channel.close(),
    };
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
