import type { FlushStatement } from "./lease.ts";
import type { PreparedStatements } from "./prepared-statements.ts";
import type { Answer, Outgoing } from "./round.ts";

/**
 * Statements as they go out over a connection on which these are prepared: what is prepared already goes without its
 * text, and without the question what it is. `keeping`: what isn't stays prepared.
 */
export function composeFlush(
  statements: readonly FlushStatement[],
  { prepared, keeping }: { readonly prepared: PreparedStatements; readonly keeping: boolean },
): readonly Outgoing[] {
  // Those that stand in this flush more than once are prepared once.
  const named = new Map<string, string>();
  return statements.map((statement) => {
    const { text, description, execute } = statement;
    const own = description === undefined;
    const kept = keeping && statement.once !== true && (own || prepared.keeps(text));
    const unnamed = { text, own, name: "", parse: true, describe: !own, execute, running: undefined };
    if (!kept) return unnamed;
    if (own) {
      const { name, running } = prepared.own(text);
      const parse = !prepared.isPrepared(text) && !named.has(text);
      if (parse) named.set(text, name);
      const isPlain = execute?.values.length === 0 && execute.maxRows === undefined;
      return { text, own, name, parse, describe: false, execute, running: isPlain ? running : undefined };
    }
    const known = description === "unknown" ? undefined : prepared.nameOf(text, description);
    const found = named.get(text) ?? known;
    if (found !== undefined) {
      return { text, own, name: found, parse: false, describe: false, execute, running: undefined };
    }
    const name = prepared.newName(text);
    named.set(text, name);
    return { ...unnamed, name };
  });
}

/** Keeps what came to be prepared. What PostgreSQL hasn't said is not: an error before it skips a Parse, too. */
export function rememberPrepared(
  outgoing: readonly Outgoing[],
  answers: readonly Answer[],
  prepared: PreparedStatements,
): void {
  for (const [at, { text, own, name, parse }] of outgoing.entries()) {
    if (!parse) continue;
    const { parsed, description } = answers[at] ?? {};
    if (parsed !== true || name === "") continue;
    if (own) prepared.addOwn(text);
    else if (description === undefined) prepared.discard(name);
    else prepared.add(text, name, description);
  }
}
