/** What callers may do, by the name that their credentials give them. Whoever isn't there may do nothing. */
export interface Policy {
  readonly version: 1;
  readonly callers: ReadonlyMap<string, CallerPolicy>;
}

export interface CallerPolicy {
  /** Whether it may send SQL of its own, rather than names of registered statements alone. */
  readonly sql: boolean;
  /** Registered statements that it may use; "all" includes those that are registered tomorrow. */
  readonly statements: "all" | ReadonlySet<string>;
  /** What its own SQL may touch; "all" is every table that its database role is granted, for development. */
  readonly tables: "all" | ReadonlyMap<string, TablePolicy>;
  /** Functions that it may call beyond those that everybody may. */
  readonly functions: ReadonlySet<string>;
}

/** Columns by verb; what isn't there is not allowed. */
export interface TablePolicy {
  readonly select?: Columns;
  readonly insert?: Columns;
  readonly update?: Columns;
  readonly delete: boolean;
}

/** "all" includes columns that the table doesn't have yet. */
export type Columns = "all" | ReadonlySet<string>;

/** What the database has, in pg_catalog and public, since it was last migrated. */
export interface Catalogue {
  /** Tables of the schema public, with their columns. */
  readonly tables: ReadonlyMap<string, ReadonlySet<string>>;
  readonly functions: ReadonlySet<string>;
  /**
   * Functions that can be called with a row and nothing else, and types that one can be cast to: behind the name of
   * what has no such column, these names are calls.
   */
  readonly rowFunctions: ReadonlySet<string>;
}
