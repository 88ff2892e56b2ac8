import { create, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { type Any, anyPack, anyUnpack, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { Metadata, type status, type StatusObject } from "@grpc/grpc-js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RetryInfoSchema,
} from "@tandem/contract/google/rpc/error_details";
import { StatusSchema } from "@tandem/contract/google/rpc/status";
import {
  ErrorReason,
  Outcome,
  type WriteFailure,
  WriteFailureSchema,
} from "@tandem/contract/tandem/errors/v1/errors";
import { type DatabaseFault, HandlerError, type UnmetGuard } from "./handler-error.ts";
import type { OutcomeName } from "./reasons.ts";

/** The ErrorInfo domain by which a client knows that a handler of ours spoke. */
export const ERROR_DOMAIN = "tandem";

const DETAILS_HEADER = "grpc-status-details-bin";

// HTTP/2 peers and proxies refuse header blocks over 8 KiB. A message is carried twice (once
// percent-encoded, up to three bytes for one) and the details as base64, so this leaves room.
const MAX_MESSAGE_BYTES = 1024;
const MAX_DETAILS_BYTES = 3 * 1024;
// PostgreSQL's identifiers have at most 63; whoever raises an error may put anything in their place.
const MAX_NAME_BYTES = 128;

/** What grpc-js sends for an error: code, message, and the details as a trailer. */
export function toStatus(error: HandlerError): Pick<StatusObject, "code" | "details" | "metadata"> {
  const message = toMessage(error);
  const metadata = new Metadata();
  metadata.set(DETAILS_HEADER, Buffer.from(encodeDetails(error, message)));
  return { code: error.code, details: message, metadata };
}

/** The same as one encoded google.rpc.Status, which is what the trailer holds, too. */
export function toStatusMessage(error: HandlerError): Uint8Array {
  return encodeDetails(error, toMessage(error));
}

function toMessage(error: HandlerError): string {
  return cutToBytes(error.message.toWellFormed(), MAX_MESSAGE_BYTES);
}

/** The handler's error that a status carries, or nothing where no handler of ours made it. */
export function fromStatus(end: StatusObject, method: string): HandlerError | undefined {
  const encoded = end.metadata.get(DETAILS_HEADER)[0];
  if (!(encoded instanceof Uint8Array)) return undefined;
  const { code, details: message } = end;
  return fromRpcStatus({ code, message, details: decodeDetails(encoded) }, method);
}

/** The same, of a status that is part of a message. */
export function fromRpcStatus(
  { code, message, details }: { code: status; message: string; details: readonly Any[] },
  method: string,
): HandlerError | undefined {
  const info = unpack(details, ErrorInfoSchema);
  if (info === undefined || !isOurs(info.domain)) return undefined;
  const failure = unpack(details, WriteFailureSchema);
  const retry = unpack(details, RetryInfoSchema);
  const request = unpack(details, BadRequestSchema);
  return new HandlerError({
    code,
    reason: info.reason,
    message,
    method,
    // Without a word on the outcome nothing may be concluded from the failure.
    outcome: failure === undefined ? "UNKNOWN" : toOutcomeName(failure.outcome),
    retryable: failure?.retryable ?? false,
    ...(failure?.step === undefined ? {} : { step: failure.step }),
    ...(failure === undefined || failure.sqlstate === "" ? {} : { database: toDatabaseFault(failure) }),
    ...(failure?.guard === undefined ? {} : { guard: toUnmetGuard(failure.guard) }),
    ...(retry?.retryDelay === undefined ? {} : { retryAfterMs: durationMs(retry.retryDelay) }),
    fields: request?.fieldViolations.map(({ field, description }) => ({ field, description })) ?? [],
  });
}

/** Cuts a text to a number of bytes in UTF-8, between characters. */
export function cutToBytes(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(maxBytes - 3));
  return `${text.slice(0, read)}…`;
}

function encodeDetails(error: HandlerError, message: string): Uint8Array {
  const essential: Any[] = [
    anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { domain: ERROR_DOMAIN, reason: error.reason })),
    anyPack(WriteFailureSchema, toWriteFailure(error)),
  ];
  if (error.retryAfterMs !== undefined) {
    const retry = create(RetryInfoSchema, { retryDelay: durationFromMs(Math.ceil(error.retryAfterMs)) });
    essential.push(anyPack(RetryInfoSchema, retry));
  }
  if (error.guard !== undefined) essential.push(toPreconditionFailure(error, message));
  // The essential part is small and bounded; of the list of fields, as many go along as fit.
  for (let count = error.fields.length; ; count = Math.floor(count / 2)) {
    const details = count === 0 ? essential : [...essential, toBadRequest(error, count)];
    const encoded = toBinary(StatusSchema, create(StatusSchema, { code: error.code, message, details }));
    if (encoded.length <= MAX_DETAILS_BYTES || count === 0) return encoded;
  }
}

function toWriteFailure(error: HandlerError): WriteFailure {
  const { database, guard } = error;
  return create(WriteFailureSchema, {
    reason: ErrorReason[error.reason as keyof typeof ErrorReason] ?? ErrorReason.UNSPECIFIED,
    outcome: Outcome[error.outcome],
    retryable: error.retryable,
    ...(error.step === undefined ? {} : { step: error.step }),
    ...Object.fromEntries(
      Object.entries(database ?? {}).map(([name, value]) => [
        name,
        cutToBytes(value.toWellFormed(), MAX_NAME_BYTES),
      ]),
    ),
    ...(guard === undefined
      ? {}
      : {
          guard: {
            actualChanges: guard.actualChanges,
            ...(guard.minChanges === undefined ? {} : { requiredMinChanges: guard.minChanges }),
            ...(guard.maxChanges === undefined ? {} : { requiredMaxChanges: guard.maxChanges }),
          },
        }),
  });
}

function toPreconditionFailure(error: HandlerError, message: string): Any {
  const subject = error.step === undefined ? "" : `steps[${error.step}]`;
  const violations = [{ type: error.reason, subject, description: cutToBytes(message, 256) }];
  return anyPack(PreconditionFailureSchema, create(PreconditionFailureSchema, { violations }));
}

function toBadRequest(error: HandlerError, count: number): Any {
  const fieldViolations = error.fields.slice(0, count).map(({ field, description }) => ({
    field: cutToBytes(field.toWellFormed(), 256),
    description: cutToBytes(description.toWellFormed(), 512),
  }));
  return anyPack(BadRequestSchema, create(BadRequestSchema, { fieldViolations }));
}

function decodeDetails(encoded: Uint8Array): readonly Any[] {
  try {
    return fromBinary(StatusSchema, encoded).details;
  } catch {
    // Not a google.rpc.Status: whoever wrote it, it was not a handler of ours.
    return [];
  }
}

function unpack<T extends Message>(details: readonly Any[], schema: GenMessage<T>): T | undefined {
  for (const detail of details) {
    try {
      const message = anyUnpack(detail, schema);
      if (message !== undefined) return message;
    } catch {
      // A detail that can't be read is one that isn't there.
      continue;
    }
  }
  return undefined;
}

function isOurs(domain: string): boolean {
  return domain === ERROR_DOMAIN || domain.endsWith(`.${ERROR_DOMAIN}`);
}

function toOutcomeName(outcome: number): OutcomeName {
  if (outcome === Outcome.NOT_COMMITTED) return "NOT_COMMITTED";
  return outcome === Outcome.COMMITTED ? "COMMITTED" : "UNKNOWN";
}

function toDatabaseFault(failure: WriteFailure): DatabaseFault {
  const { sqlstate, schema, table, column, constraint } = failure;
  return {
    sqlstate,
    ...(schema === "" ? {} : { schema }),
    ...(table === "" ? {} : { table }),
    ...(column === "" ? {} : { column }),
    ...(constraint === "" ? {} : { constraint }),
  };
}

function toUnmetGuard(guard: NonNullable<WriteFailure["guard"]>): UnmetGuard {
  const { actualChanges, requiredMinChanges, requiredMaxChanges } = guard;
  return {
    actualChanges,
    ...(requiredMinChanges === undefined ? {} : { minChanges: requiredMinChanges }),
    ...(requiredMaxChanges === undefined ? {} : { maxChanges: requiredMaxChanges }),
  };
}
