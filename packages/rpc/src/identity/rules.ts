import type { DescService } from "@bufbuild/protobuf";
import { HandlerError } from "../errors/handler-error.ts";

/** Who may call a method: the callers that are named, or `anyone`, also whoever doesn't say who it is. */
export type Rule = "anyone" | readonly string[];

/** The rules of any number of methods, each by its full name: `tandem.assistant.v1.DbProxy/Transaction`. */
export type Rules = Readonly<Record<string, Rule>>;

/** Says whether a caller may call a method: gives what it is refused with, or undefined where it may. */
export type Authorise = (method: string, caller: string | undefined) => HandlerError | undefined;

/**
 * The rules of one service, by its methods' local names: `allow(DbProxy, { transaction: ["gateway"] })`. What is
 * left out is denied to everyone. Rules of several services are put together with `{ ...a, ...b }`.
 */
export function allow<S extends DescService>(
  service: S,
  rules: { readonly [K in keyof S["method"]]?: Rule },
): Rules {
  const named: Readonly<Record<string, Rule | undefined>> = rules;
  const entries = service.methods.flatMap((method) => {
    const rule = named[method.localName];
    return rule === undefined ? [] : [[`${service.typeName}/${method.name}`, rule] as const];
  });
  return Object.fromEntries(entries);
}

/**
 * Maps identity and method to a verdict, and fails closed: who has no identity is UNAUTHENTICATED, a method
 * without a rule is METHOD_NOT_ALLOWED to everyone else. Only the rule `anyone` lets a caller without identity in.
 */
export function authorise(rules: Rules): Authorise {
  const byMethod = new Map(Object.entries(rules));
  return (method, caller) => {
    const rule = byMethod.get(method);
    if (rule === "anyone") return undefined;
    if (caller === undefined) return unauthenticated("Nothing says who is calling.");
    if (rule?.includes(caller) === true) return undefined;
    const message = `${caller} may not call ${method}: no rule of this server says that it may.`;
    return new HandlerError({ reason: "METHOD_NOT_ALLOWED", message });
  };
}

/** Who is calling is not known, and why. */
export function unauthenticated(why: string): HandlerError {
  const message = `${why} Show a client certificate that this server's authorities issued, or a bearer token.`;
  return new HandlerError({ reason: "UNAUTHENTICATED", message });
}
