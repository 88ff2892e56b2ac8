import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { QueryRequestSchema, TransactionRequestSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { GivenQuery, GivenTransaction } from "../db-proxy/wire/given.ts";
import { readingQuery } from "../db-proxy/wire/read-query.ts";
import { readingTransaction } from "../db-proxy/wire/read-transaction.ts";
import { finish } from "./interruptible.ts";

/** A request as it is once it has gone over the wire. */
export function givenTransaction(init: MessageInitShape<typeof TransactionRequestSchema>): GivenTransaction {
  const bytes = toBinary(TransactionRequestSchema, create(TransactionRequestSchema, init));
  return finish(readingTransaction(bytes));
}

export function givenQuery(init: MessageInitShape<typeof QueryRequestSchema>): GivenQuery {
  return finish(readingQuery(toBinary(QueryRequestSchema, create(QueryRequestSchema, init))));
}
