import { BootstrapError } from "./bootstrap-error.ts";
import { schemaStatements } from "./bootstrap-schema.ts";
import { withDatabase } from "./database-url.ts";
import { recogniseError } from "./foreign-error.ts";
import { postgresLimits } from "./limits.ts";
import { quoteIdentifier, quoteLiteral } from "./quote.ts";
import { toScramVerifier } from "./scram-verifier.ts";
import { type Session, withSession } from "./session.ts";
import { type DatabasePlan, type DatabaseRoles, rolesOf } from "./tandem-databases.ts";

/** Whose server to prepare, and for which databases. */
export interface BootstrapClusterOptions {
  /** A superuser's. */
  readonly adminUrl: string;
  readonly databases: readonly DatabasePlan[];
  /** By role; each role of the databases must have one. Another one than last time replaces it. */
  readonly passwords: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface BootstrapDatabaseOptions {
  readonly adminUrl: string;
  readonly database: DatabasePlan;
  readonly signal?: AbortSignal;
}

const applicationName = "tandem-bootstrap";
// Starters take turns by a lock of this number in the database of the adminUrl.
const lockNumber = 0x7a6e_de30;
const duplicateObject = "42710";
const duplicateDatabase = "42P04";
const uniqueViolation = "23505";

/**
 * Makes the roles and the databases, with all their rights, on a server that may have none, some or all
 * of them: what is there is set right, never dropped. Two starters at once take turns. It takes the right
 * to connect to `postgres` and `template1` from PUBLIC, so the server should be Tandem's own. Fails with a
 * ConnectError or a BootstrapError; what was done until then stays, and the next call goes on from there.
 */
export async function bootstrapCluster(options: BootstrapClusterOptions): Promise<void> {
  const { adminUrl, databases, passwords } = options;
  const roles = [...new Set(databases.flatMap(rolesOf))];
  const verifiers = new Map<string, string>();
  for (const role of roles) verifiers.set(role, await toScramVerifier(passwordOf(role, passwords)));
  await withTurn(options, async (session) => {
    for (const [role, verifier] of verifiers) await prepareRole(session, role, verifier);
    for (const { roles: each } of databases) await prepareMirrorRole(session, each);
    for (const database of databases) await limitRoles(session, database);
    await closeMaintenanceDatabases(session);
    for (const database of databases) await prepareOutside(session, database);
  });
  for (const database of databases) await prepareInside(adminUrl, database, options.signal);
}

/**
 * One more database for roles that are there, such as a test's copy of a template. Rights to connect are
 * not copied with a template, so that every copy needs this. Fails as `bootstrapCluster` does.
 */
export async function bootstrapDatabase(options: BootstrapDatabaseOptions): Promise<void> {
  const { adminUrl, database, signal } = options;
  await withTurn(options, (session) => prepareOutside(session, database));
  await prepareInside(adminUrl, database, signal);
}

function passwordOf(role: string, passwords: Readonly<Record<string, string>>): string {
  const password = Object.hasOwn(passwords, role) ? passwords[role] : undefined;
  if (password === undefined) throw new BootstrapError(`The role "${role}" is given no password.`);
  return password;
}

function withTurn(
  options: Pick<BootstrapClusterOptions, "adminUrl" | "signal">,
  body: (session: Session) => Promise<void>,
): Promise<void> {
  return withAdmin(options, async (session) => {
    await session.run(`SET lock_timeout = ${postgresLimits.turnTimeoutMs}`);
    const answerTimeoutMs = postgresLimits.turnTimeoutMs + postgresLimits.answerMarginMs;
    await session.run("SELECT pg_catalog.pg_advisory_lock($1::int8)", [lockNumber], { answerTimeoutMs });
    // It is given back when the session ends, however it does.
    await body(session);
  });
}

async function withAdmin(
  options: { readonly adminUrl: string; readonly signal?: AbortSignal },
  body: (session: Session) => Promise<void>,
): Promise<void> {
  const { adminUrl: url, signal } = options;
  await withSession(
    { url, applicationName, ...(signal === undefined ? {} : { signal }) },
    async (session) => {
      const { rows } = await session.run(
        "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user",
      );
      if (rows[0]?.["rolsuper"] !== true) {
        throw new BootstrapError("Preparing a server for Tandem needs a superuser, and this role is none.");
      }
      try {
        await body(session);
      } catch (error) {
        signal?.throwIfAborted();
        throw error instanceof BootstrapError ? error : toBootstrapError(error);
      }
    },
  );
}

async function prepareRole(session: Session, role: string, verifier: string): Promise<void> {
  const name = quoteIdentifier(role);
  await createRole(session, role);
  await session.run(`ALTER ROLE ${name} LOGIN ${harmless} PASSWORD ${quoteLiteral(verifier)}`);
  await leaveRoles(session, role);
}

/** Its functions are made by migrations: the owner may become it, and has none of its rights otherwise. */
async function prepareMirrorRole(session: Session, { owner, mirror }: DatabaseRoles): Promise<void> {
  if (mirror === undefined) return;
  const name = quoteIdentifier(mirror);
  await createRole(session, mirror);
  await session.run(`ALTER ROLE ${name} NOLOGIN ${harmless} PASSWORD NULL`);
  await leaveRoles(session, mirror);
  await session.run(`GRANT ${name} TO ${quoteIdentifier(owner)} WITH ADMIN FALSE, INHERIT FALSE, SET TRUE`);
}

const harmless = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS";

async function createRole(session: Session, role: string): Promise<void> {
  const known = await session.run("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1", [role]);
  // Looked for first, so that the server's log has no error at each start; another starter may still be faster.
  if (known.rows.length > 0) return;
  await runUnlessThere(session, `CREATE ROLE ${quoteIdentifier(role)}`, [duplicateObject, uniqueViolation]);
}

/** Takes it out of every role that it has got into. */
async function leaveRoles(session: Session, role: string): Promise<void> {
  const name = quoteIdentifier(role);
  const { rows } = await session.run(
    `SELECT m.roleid::regrole::text AS granted, m.grantor::regrole::text AS grantor
       FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.member WHERE r.rolname = $1`,
    [role],
  );
  // A regrole as text is quoted where it needs to be.
  for (const row of rows) {
    await session.run(
      `REVOKE ${String(row["granted"])} FROM ${name} GRANTED BY ${String(row["grantor"])} CASCADE`,
    );
  }
}

// As settings of the roles they hold for whatever connects, a pooler that passes no settings on included.
async function limitRoles(session: Session, { roles }: DatabasePlan): Promise<void> {
  const { statementTimeoutMs, lockTimeoutMs, transactionTimeoutMs } = postgresLimits;
  await setForRole(session, roles.owner, { search_path: "public, pg_temp" });
  for (const role of [roles.app, roles.dbproxy]) {
    if (role === undefined) continue;
    await setForRole(session, role, {
      search_path: "public, pg_temp",
      statement_timeout: String(statementTimeoutMs),
      lock_timeout: String(lockTimeoutMs),
      idle_in_transaction_session_timeout: String(transactionTimeoutMs),
      transaction_timeout: String(transactionTimeoutMs),
    });
  }
}

async function setForRole(
  session: Session,
  role: string,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  for (const [setting, value] of Object.entries(settings)) {
    await session.run(`ALTER ROLE ${quoteIdentifier(role)} SET ${setting} TO ${value}`);
  }
}

// Everybody may connect to these on a new server, and make temporary tables there.
async function closeMaintenanceDatabases(session: Session): Promise<void> {
  const { rows } = await session.run(
    "SELECT datname FROM pg_catalog.pg_database WHERE datname IN ('postgres', 'template1')",
  );
  for (const { datname } of rows) {
    await session.run(`REVOKE ALL ON DATABASE ${quoteIdentifier(String(datname))} FROM PUBLIC`);
  }
}

async function prepareOutside(session: Session, { name, roles, template }: DatabasePlan): Promise<void> {
  const database = quoteIdentifier(name);
  const owner = quoteIdentifier(roles.owner);
  // The locale is PostgreSQL's own, so that the same rows sort the same on every operating system.
  const contents =
    template === undefined
      ? "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
      : `TEMPLATE ${quoteIdentifier(template)}`;
  const { rows } = await session.run("SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1", [name]);
  if (rows.length === 0) {
    const create = `CREATE DATABASE ${database} OWNER ${owner} ${contents}`;
    await runUnlessThere(session, create, [duplicateDatabase, uniqueViolation]);
  }
  await session.run(`ALTER DATABASE ${database} OWNER TO ${owner}`);
  await session.run(`REVOKE ALL ON DATABASE ${database} FROM PUBLIC`);
  for (const role of [roles.app, roles.dbproxy]) {
    if (role !== undefined) {
      await session.run(`GRANT CONNECT ON DATABASE ${database} TO ${quoteIdentifier(role)}`);
    }
  }
}

async function prepareInside(adminUrl: string, database: DatabasePlan, signal?: AbortSignal): Promise<void> {
  const options = {
    adminUrl: withDatabase(adminUrl, database.name),
    ...(signal === undefined ? {} : { signal }),
  };
  await withAdmin(options, async (session) => {
    await session.run("BEGIN");
    await session.run(`SET LOCAL lock_timeout = ${postgresLimits.turnTimeoutMs}`);
    await session.run("SELECT pg_catalog.pg_advisory_xact_lock($1::int8)", [lockNumber]);
    for (const statement of schemaStatements(database.roles)) await session.run(statement);
    const { command } = await session.run("COMMIT");
    if (command !== "COMMIT") throw new BootstrapError(`The rights in "${database.name}" were rolled back.`);
  });
}

async function runUnlessThere(session: Session, statement: string, codes: readonly string[]): Promise<void> {
  try {
    await session.run(statement);
  } catch (error) {
    const found = recogniseError(error);
    if (found?.kind !== "server" || !codes.includes(found.sqlstate)) throw error;
  }
}

function toBootstrapError(error: unknown): BootstrapError {
  const found = recogniseError(error);
  if (found === undefined) return new BootstrapError("The server could not be prepared.", error);
  const problem = found.kind === "server" ? found.error.message : "the connection was lost";
  return new BootstrapError(`The server could not be prepared: ${problem}.`, found.error);
}
