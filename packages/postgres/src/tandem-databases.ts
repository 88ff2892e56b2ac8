/** A database of Tandem's and the roles that may connect to it. */
export interface DatabasePlan {
  readonly name: string;
  readonly roles: DatabaseRoles;
  /** The database to copy when this one is made, with all that is in it; an empty one otherwise. */
  readonly template?: string;
}

/** Who may do what. Roles are the whole server's: databases for tests share them. */
export interface DatabaseRoles {
  /** Owns the database and what is in it, and migrates. */
  readonly owner: string;
  /** Reads and writes the rows of the owner's tables. */
  readonly app: string;
  /** May connect, and otherwise do what is granted to it table by table, which is nothing to begin with. */
  readonly dbproxy?: string;
  /** Nobody connects as this one: what writes the rows that another database decides about runs as it. */
  readonly mirror?: string;
}

/** The gateway's database. */
export const gatewayDatabase: DatabasePlan = {
  name: "gateway",
  roles: { owner: "gateway_owner", app: "gateway_app", mirror: "gateway_mirror" },
};

/** The assistant's database. */
export const assistantDatabase: DatabasePlan = {
  name: "assistant",
  roles: {
    owner: "assistant_owner",
    app: "assistant_app",
    dbproxy: "assistant_dbproxy",
    mirror: "assistant_mirror",
  },
};

/** The roles of a database that connect to it. */
export function rolesOf({ roles }: DatabasePlan): readonly string[] {
  return [roles.owner, roles.app, ...(roles.dbproxy === undefined ? [] : [roles.dbproxy])];
}
