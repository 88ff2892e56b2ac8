import type { AccessCollector } from "./access.ts";
import type { Scope } from "./scope.ts";

/** What whoever looks at a part of a statement has at hand. */
export interface Walk {
  readonly access: AccessCollector;
  readonly scope: Scope;
  /** Looks at a statement that stands within another one; `locked` where FOR UPDATE around it takes its rows. */
  readonly statement: (node: unknown, walk: Walk, locked?: boolean) => void;
}

/** The same, where other names are seen. */
export function inScope(walk: Walk, scope: Partial<Scope>): Walk {
  return { ...walk, scope: { ...walk.scope, ...scope } };
}
