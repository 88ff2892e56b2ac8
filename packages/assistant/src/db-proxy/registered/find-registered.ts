import { HandlerError } from "@tandem/rpc";
import { judgeName, notAllowed } from "../policy/judge.ts";
import type { CallerPolicy } from "../policy/policy.ts";
import type { StatementUse } from "../statement-check.ts";
import type { RegisteredStatement, Registry } from "./registry.ts";

/**
 * The statement that a caller may run by this name. Fails with STATEMENT_NOT_ALLOWED where it may not, whether the
 * name is registered or not, and else with UNKNOWN_STATEMENT where it isn't.
 */
export function findRegistered(
  name: string,
  use: StatementUse,
  { registry, policy }: { readonly registry: Registry; readonly policy: CallerPolicy | undefined },
): RegisteredStatement {
  const refusal = policy && judgeName(name, policy);
  if (refusal !== undefined) throw refusal;
  const registered = registry.get(name);
  if (registered === undefined) {
    const message = `There is no registered statement ${JSON.stringify(name.slice(0, 100))} here.`;
    throw new HandlerError({ reason: "UNKNOWN_STATEMENT", message });
  }
  if (use === "query" && !registered.reads) throw notAllowed(`A query reads: ${name} would write or lock.`);
  return registered;
}
