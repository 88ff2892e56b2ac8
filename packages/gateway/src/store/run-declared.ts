import { type ResultRows, type RunStatement, translateDatabaseError } from "@tandem/postgres";
import { HandlerError } from "@tandem/rpc";
import { type DeclaredType, fieldsOf } from "@tandem/statements";
import type { DeclaredStep, StepOutcome } from "../authority/declared-step.ts";

/**
 * Runs a declared statement in the gateway's own database, and gives what DbProxy would. Fails with a HandlerError, with
 * GUARD_UNMET where its guard is not met; what is written then is to be rolled back.
 */
export async function runDeclared(
  run: RunStatement,
  { statement, values, guard }: DeclaredStep,
  index: number | undefined,
): Promise<StepOutcome> {
  const params = fieldsOf(statement.params).map(({ name, type }) => toParam(values[name], type));
  const place = index === undefined ? {} : { step: index };
  const result = await run({ text: statement.sql, values: params, prepare: true }).catch((error: unknown) => {
    throw translateDatabaseError(error, place);
  });
  const changes = BigInt(result.count);
  const { min, max } = { min: undefined, max: undefined, ...guard };
  if ((min !== undefined && changes < BigInt(min)) || (max !== undefined && changes > BigInt(max))) {
    const bounds = {
      ...(min === undefined ? {} : { minChanges: BigInt(min) }),
      ...(max === undefined ? {} : { maxChanges: BigInt(max) }),
    };
    const message = `${statement.name} changed ${changes} rows.`;
    throw new HandlerError({
      reason: "GUARD_UNMET",
      message,
      ...place,
      guard: { actualChanges: changes, ...bounds },
    });
  }
  return { changes, rows: toRows(result, statement.result) };
}

/** As the driver takes it; of a list the text that PostgreSQL reads. */
function toParam(value: unknown, type: DeclaredType): unknown {
  if (value === null || value === undefined) return null;
  if (type.list && Array.isArray(value)) return `{${value.map(toElement).join(",")}}`;
  if (type.name === "json" || type.name === "jsonb") return JSON.stringify(value);
  return value;
}

function toElement(value: unknown): string {
  if (value === null) return "NULL";
  const text = value instanceof Uint8Array ? `\\x${Buffer.from(value).toString("hex")}` : toText(value);
  return `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
}

function toText(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "string" || typeof value === "bigint" || typeof value === "number")
    return String(value);
  if (typeof value === "boolean") return String(value);
  throw new TypeError(`A list can't hold ${typeof value}.`);
}

/** The driver gives small integers as numbers. */
function toRows(rows: ResultRows, result: DeclaredStep["statement"]["result"]): readonly object[] {
  const integers = fieldsOf(result).filter(({ type }) => type.name === "int2" || type.name === "int4");
  return rows.map((row) => {
    const converted = integers.map(({ name }) => [name, toBigint(row[name])]);
    return { ...row, ...Object.fromEntries(converted) };
  });
}

function toBigint(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toBigint);
  return typeof value === "number" ? BigInt(value) : value;
}
