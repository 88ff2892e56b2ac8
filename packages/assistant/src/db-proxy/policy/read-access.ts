import { type Access, createAccessCollector } from "./access.ts";
import { readSelect, readWith } from "./select.ts";
import { type Fields, nodeOf, notKnown, Refusal } from "./tree.ts";
import type { Walk } from "./walk.ts";
import { readDelete, readInsert, readMerge, readUpdate } from "./writes.ts";

/** What a statement touches, or the sentence that says why nobody may send it. */
export type ReadAccess = Access | { readonly refused: string };

/**
 * Reads what a statement touches off PostgreSQL's tree of it: a whole one, as its parser gives it. It knows
 * what it lets through, and every other part is refused. Never fails on a tree.
 */
export function readAccess(statement: unknown): ReadAccess {
  const access = createAccessCollector();
  try {
    readStatement(statement, {
      access,
      scope: { relations: [], outer: undefined, ctes: new Set() },
      statement: readStatement,
    });
    return access.access;
  } catch (error) {
    if (error instanceof Refusal) return { refused: error.message };
    throw error;
  }
}

function readStatement(node: unknown, walk: Walk, locked = false): void {
  const [kind, { withClause, ...fields }] = nodeOf(node);
  const reader = readers.get(kind);
  if (reader === undefined) throw notKnown(kind);
  walk.access.within(() => reader(fields, readWith(withClause, walk), locked));
}

const readers: ReadonlyMap<string, (fields: Fields, walk: Walk, locked: boolean) => void> = new Map([
  ["SelectStmt", readSelect],
  ["InsertStmt", readInsert],
  ["UpdateStmt", readUpdate],
  ["DeleteStmt", readDelete],
  ["MergeStmt", readMerge],
]);
