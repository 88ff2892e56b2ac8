import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type Step as SentStep,
  TransactionRequestSchema,
  type Value,
  ValueSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { toTransactionRequest } from "../requests.ts";
import type { Step } from "../steps.ts";
import { fromValue } from "../values/from-value.ts";
import { type SqlValue, toValue } from "../values/to-value.ts";
import { TransactionEncoder } from "../wire/encode-transaction.ts";

/** A value as the other side sees it: encoded, and decoded again. */
export function sent(value: SqlValue): Value {
  return fromBinary(ValueSchema, toBinary(ValueSchema, toValue(value, "$1")));
}

/** What comes back where the other side gives a value as it got it. */
export function sentAndBack(value: SqlValue): unknown {
  return fromValue(sent(value));
}

/** The steps of a transaction as the other side sees them. */
export function sentSteps(steps: readonly Step[]): readonly SentStep[] {
  const request = toTransactionRequest(steps, {}, { sourceInstanceId: "", requestedAt: 0 });
  return fromBinary(TransactionRequestSchema, new TransactionEncoder().encode(request)).steps;
}
