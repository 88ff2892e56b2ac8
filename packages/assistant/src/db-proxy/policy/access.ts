import { builtInFunctions } from "./built-in-functions.ts";
import { quote, Refusal } from "./tree.ts";

/** What a statement touches, whoever sends it. */
export interface Access {
  readonly tables: ReadonlyMap<string, TableAccess>;
  /** Functions beyond those that everybody may call. */
  readonly functions: ReadonlySet<string>;
  /** Columns that stand without a table where several could have them: counted for each of these. */
  readonly unclear: ReadonlySet<string>;
  /** Names behind another one, as `f` in x.f: where x has no such column, PostgreSQL calls f(x). */
  readonly behind: Behind;
}

/** By what x is. */
export interface Behind {
  readonly tables: ReadonlyMap<string, ReadonlySet<string>>;
  /** Anything else that has rows. */
  readonly rows: ReadonlySet<string>;
  /** What a function gives, which may be one value of any type, and where the name is that of no known column. */
  readonly values: ReadonlySet<string>;
}

/**
 * Columns by verb; a verb without columns needs the right to any. "*" stands for all columns, also those that
 * a table will have tomorrow.
 */
export interface TableAccess {
  readonly select?: ReadonlySet<string>;
  readonly insert?: ReadonlySet<string>;
  readonly update?: ReadonlySet<string>;
  readonly delete?: ReadonlySet<string>;
}

export type Verb = keyof TableAccess;
export const ALL_COLUMNS = "*";

/** Gathers what a statement touches. Its methods fail with a Refusal where nobody may touch it. */
export interface AccessCollector {
  readonly access: Access;
  touch(table: string, verb: Verb): void;
  column(table: string, verb: Verb, column: string): void;
  unclear(column: string): void;
  /** By its name in pg_catalog or public. */
  call(name: string): void;
  /** A name behind that of a table, which is read as a column of it, of anything else with rows, or of a value. */
  behind(name: string, what: { readonly table: string } | "row" | "value"): void;
  /** Runs what looks at a part of the statement, no deeper than a stack can hold. */
  within(look: () => void): void;
}

const MAX_DEPTH = 500;
// Nobody's statement names as many; it bounds what the cache holds and what a judgement costs.
const MAX_ITEMS = 4_000;

const systemColumns: ReadonlySet<string> = new Set(["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"]);

export function createAccessCollector(): AccessCollector {
  const tables = new Map<string, Partial<Record<Verb, Set<string>>>>();
  const functions = new Set<string>();
  const unclear = new Set<string>();
  const behind = {
    tables: new Map<string, Set<string>>(),
    rows: new Set<string>(),
    values: new Set<string>(),
  };
  let depth = 0;
  let items = 0;

  const add = (names: Set<string>, name: string): void => {
    if (names.has(name)) return;
    names.add(name);
    items += 1;
    if (items > MAX_ITEMS) throw new Refusal("The statement names too many columns: send several.");
  };
  const columnsOf = (table: string, verb: Verb): Set<string> => {
    const verbs = tables.get(table) ?? {};
    tables.set(table, verbs);
    return (verbs[verb] ??= new Set());
  };
  return {
    access: { tables, functions, unclear, behind },
    touch: (table, verb) => void columnsOf(table, verb),
    column: (table, verb, column) => {
      assertNoSystemColumn(column);
      add(columnsOf(table, verb), column);
    },
    unclear: (column) => add(unclear, column),
    call: (name) => {
      if (!builtInFunctions.has(name)) add(functions, name);
    },
    behind: (name, what) => {
      if (typeof what === "object") add(columnsOf(what.table, "select"), name);
      if (builtInFunctions.has(name)) return;
      if (what === "row") add(behind.rows, name);
      else if (what === "value") add(behind.values, name);
      // These are counted.
      else behind.tables.set(what.table, (behind.tables.get(what.table) ?? new Set()).add(name));
    },
    within: (look) => {
      depth += 1;
      if (depth > MAX_DEPTH) throw new Refusal("The statement is nested too deeply.");
      look();
      depth -= 1;
    },
  };
}

/** Where rows lie and which transaction wrote them is nobody's to read, whatever has it as a column. */
export function assertNoSystemColumn(column: string): void {
  if (systemColumns.has(column)) throw new Refusal(`The system column ${quote(column)} may not be used.`);
}
