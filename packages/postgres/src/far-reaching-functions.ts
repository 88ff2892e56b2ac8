import { quoteLiteral } from "./quote.ts";
import type { DatabaseRoles } from "./tandem-databases.ts";

/** Functions that do more than their statement says, which PostgreSQL lets everybody call. */
export interface FarReachingFunctions {
  readonly reach: string;
  /** Their names, in all forms, or one form with its types. A `*` at the end is any rest. */
  readonly names: string;
}

/**
 * PostgreSQL's own, and those of extensions that may come to be there. Whatever stands here is missed by roles that
 * have nothing to do with Tandem, so it is only what a caller of DbProxy could misuse. Not here: what asks for a right
 * of its own (sequences, replication slots, large objects that exist), and what only tells of the caller's session, of
 * the catalog, or of the server, of whose other roles PostgreSQL hides the rest itself.
 */
export const farReachingFunctions: readonly FarReachingFunctions[] = [
  {
    reach: "runs SQL that stands in a string, or reads a table by its name",
    names: `query_to_xml* cursor_to_xml* table_to_xml* schema_to_xml* database_to_xml* ts_stat
      ts_rewrite(tsquery,text) currtid2 dblink* crosstab* connectby xpath_table`,
  },
  {
    reach: "changes what the session is for the next statement",
    names: "set_config setseed pg_advisory_* pg_try_advisory_*",
  },
  {
    reach: "holds its connection for as long as it likes",
    names: "pg_sleep*",
  },
  {
    reach: "acts on other sessions, or on what reads the server's log",
    names: "pg_cancel_backend pg_terminate_backend pg_notify pg_logical_emit_message",
  },
  {
    reach: "tells what others of the same role run, which are all of DbProxy's callers",
    names: "pg_stat_get_activity pg_stat_get_backend_activity",
  },
  {
    reach: "makes something that is in no table",
    names: "lo_creat lo_create lo_from_bytea",
  },
];

// What DbProxy's own statements call, its callers' aside: the clean-up of a connection, and the look-up of a receipt.
const neededByDbProxy = "pg_advisory_unlock_all pg_logical_emit_message(boolean,text,text*";

// What applies a row that another database decides about does it alone.
const neededByMirror = "pg_advisory_xact_lock(bigint)";

// PostgreSQL's own roles that would be of no use without a function: pg_dump, pg_restore and vacuumdb begin with
// set_config, and pg_monitor is a member of pg_read_all_stats.
const keptByRole: Readonly<Record<string, string>> = {
  pg_read_all_data: "set_config",
  pg_write_all_data: "set_config",
  pg_maintain: "set_config",
  pg_read_all_stats: "pg_stat_get_activity pg_stat_get_backend_activity",
  pg_signal_backend: "pg_cancel_backend pg_terminate_backend",
};

/**
 * The statement, for a superuser inside the database, that takes these functions from PUBLIC. It finds them in the
 * catalog, so one that isn't there is no error. Who may call what afterwards:
 *
 * - What PUBLIC may call at this moment goes to the database's owner, to its app role, and to `keptByRole`. What it may
 *   not call is nobody's affair here: an earlier bootstrap gave it away, or the server's administrator took it away.
 *   So what an administrator takes from a role stays taken, what one grants stays granted, and where all is as it
 *   should be already nothing changes.
 * - An owner or an app role that is new to the database, as in a copy of another plan's, comes too late for that. It
 *   is given what the owner until now has been given. Known is who has a right on the schema `tandem`: so this comes
 *   before the schema's own rights.
 * - The dbproxy role is always given what DbProxy's own sessions call, and the mirror's role what its functions call.
 */
export function confineFunctions({ owner, app, dbproxy, mirror }: DatabaseRoles): string {
  const names = farReachingFunctions.map((functions) => functions.names).join(" ");
  const all = signaturePattern(names);
  const wanted = [
    ...[owner, app].map((role) => grant(role, names, "if new")),
    ...Object.entries(keptByRole).map(([role, which]) => grant(role, which, "with PUBLIC's")),
    ...(dbproxy === undefined ? [] : [grant(dbproxy, neededByDbProxy, "always")]),
    ...(mirror === undefined ? [] : [grant(mirror, neededByMirror, "always")]),
  ];
  return `DO ${quoteLiteral(`
DECLARE
  change text;
BEGIN
  FOR change IN
    WITH far_reaching AS (
      SELECT p.oid, p.proowner, p.oid::pg_catalog.regprocedure AS name, ${signature} AS signature,
             r.rights, EXISTS (SELECT FROM pg_catalog.aclexplode(r.rights) a WHERE a.grantee = 0) AS everybodys
      FROM pg_catalog.pg_proc p
      -- Where nothing was ever granted or revoked there is a NULL, for PUBLIC's right and the owner's.
      CROSS JOIN LATERAL (SELECT coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)) AS rights) r
      -- The name by itself is compared faster than the signature.
      WHERE p.prokind = 'f' AND p.proname ~ ${quoteLiteral(namePattern(names))} AND ${signature} ~ ${quoteLiteral(all)}
        AND (p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace OR EXISTS (
          SELECT FROM pg_catalog.pg_depend d
          WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'))
        -- What was never everybody's is given to nobody.
        AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_init_privs i
          WHERE i.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND i.objoid = p.oid)
    ), schema AS (
      SELECT n.nspowner AS owner, coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner)) AS rights
      FROM pg_catalog.pg_namespace n WHERE n.nspname = 'tandem'
    ), missing AS (
      SELECT f.name, r.rolname
      FROM (VALUES ${wanted.join(", ")}) AS wanted(role, names, given)
      JOIN pg_catalog.pg_roles r ON r.rolname = wanted.role
      JOIN far_reaching f ON f.signature ~ wanted.names
      WHERE NOT EXISTS (SELECT FROM pg_catalog.aclexplode(f.rights) a WHERE a.grantee = r.oid)
        AND (f.everybodys OR wanted.given = 'always' OR wanted.given = 'if new' AND EXISTS (
          SELECT FROM schema s, pg_catalog.aclexplode(f.rights) a
          WHERE a.grantee = s.owner AND s.owner <> f.proowner
            AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(s.rights) known WHERE known.grantee = r.oid)))
    )
    SELECT pg_catalog.format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', pg_catalog.string_agg(f.name::text, ', '))
    FROM far_reaching f WHERE f.everybodys
    HAVING pg_catalog.count(*) > 0
    UNION ALL
    SELECT pg_catalog.format(
      'GRANT EXECUTE ON FUNCTION %s TO %I', pg_catalog.string_agg(m.name::text, ', '), m.rolname)
    FROM missing m GROUP BY m.rolname
  LOOP
    EXECUTE change;
  END LOOP;
END`)}`;
}

function grant(role: string, names: string, given: "with PUBLIC's" | "if new" | "always"): string {
  return `(${[role, signaturePattern(names), given].map(quoteLiteral).join(", ")})`;
}

const signature =
  "pg_catalog.replace(pg_catalog.format('%s(%s)', p.proname, pg_catalog.oidvectortypes(p.proargtypes)), ', ', ',')";

// Regular expressions of PostgreSQL's for what stands in the table.

function signaturePattern(names: string): string {
  return anyOf(names, (name) => {
    const rest = name.endsWith("*") ? ".*" : name.endsWith(")") ? "" : "\\(.*";
    return name.replace(/\*$/, "").replaceAll(/[()]/g, "\\$&") + rest;
  });
}

function namePattern(names: string): string {
  return anyOf(names, (name) => name.replace(/\(.*/, "").replace(/\*$/, ".*"));
}

function anyOf(names: string, toPattern: (name: string) => string): string {
  return `^(${names.split(/\s+/).map(toPattern).join("|")})$`;
}
