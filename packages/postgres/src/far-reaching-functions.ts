import { quoteLiteral } from "./quote.ts";
import type { DatabaseRoles } from "./tandem-databases.ts";

/** Functions that do more than their statement says, which PostgreSQL lets everybody call. */
export interface FarReachingFunctions {
  readonly reach: string;
  /** Their names, in all forms, or one form with its types. A `*` at the end is any rest. */
  readonly names: string;
}

/**
 * PostgreSQL's own, and those of extensions that may come to be there. Not here: what asks for a right of its own
 * (sequences, replication slots, what an owner alone may do), and what only tells of the caller's session or of
 * the catalog, which everybody can read anyway.
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
    names:
      "pg_cancel_backend pg_terminate_backend pg_notify pg_export_snapshot pg_logical_emit_message setval",
  },
  {
    reach: "tells what other sessions do",
    names: `pg_lock_status pg_blocking_pids pg_safe_snapshot_blocking_pids pg_isolation_test_session_is_blocked
      pg_prepared_xact pg_get_replication_slots pg_notification_queue_usage pg_stat_get_activity pg_stat_get_backend_*
      pg_stat_get_progress_info pg_stat_get_wal_senders pg_stat_get_wal_receiver pg_stat_get_subscription*
      pg_stat_get_replication_slot`,
  },
  {
    reach: "keeps something that is in no table",
    names: `lo_close lo_creat lo_create lo_from_bytea lo_get lo_lseek lo_lseek64 lo_open lo_put lo_tell lo_tell64
      lo_truncate lo_truncate64 lo_unlink loread lowrite`,
  },
  {
    reach: "reads the server's files",
    names: `pg_available_extensions pg_available_extension_versions pg_extension_update_paths pg_timezone_names
      pg_available_wal_summaries pg_wal_summary_contents pg_get_loaded_modules`,
  },
];

// What DbProxy's own statements call, its callers' aside: the clean-up of a connection, and the look-up of a receipt.
const neededByDbProxy = "pg_advisory_unlock_all pg_logical_emit_message(boolean,text,text*";

// Whoever watches a server has this role, and it reads what everybody could read.
const watchers = "pg_monitor";

/**
 * The statement, for a superuser inside the database, that leaves these functions to its owner, to its app role and
 * to those who watch the server. It finds them in the catalog, so one that isn't there is no error, and where all is
 * as it should be already it changes nothing. What the server's administrator has granted to a role stays.
 */
export function confineFunctions({ owner, app, dbproxy }: DatabaseRoles): string {
  const names = farReachingFunctions.map((functions) => functions.names).join(" ");
  const all = signaturePattern(names);
  const grants = [owner, app, watchers].map((role) => [role, all]);
  if (dbproxy !== undefined) grants.push([dbproxy, signaturePattern(neededByDbProxy)]);
  const wanted = grants.map(([role = "", which = ""]) => `(${quoteLiteral(role)}, ${quoteLiteral(which)})`);
  return `DO ${quoteLiteral(`
DECLARE
  change text;
BEGIN
  FOR change IN
    WITH far_reaching AS (
      SELECT p.oid, p.proowner, p.oid::pg_catalog.regprocedure AS name, ${signature} AS signature,
             coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)) AS rights
      FROM pg_catalog.pg_proc p
      -- The name by itself is compared faster than the signature.
      WHERE p.prokind = 'f' AND p.proname ~ ${quoteLiteral(namePattern(names))} AND ${signature} ~ ${quoteLiteral(all)}
        AND (p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace OR EXISTS (
          SELECT FROM pg_catalog.pg_depend d
          WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'))
        -- What was never everybody's is given to nobody.
        AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_init_privs i
          WHERE i.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND i.objoid = p.oid)
    ), missing AS (
      SELECT f.name, r.rolname
      FROM (VALUES ${wanted.join(", ")}) AS wanted(role, names)
      JOIN pg_catalog.pg_roles r ON r.rolname = wanted.role
      JOIN far_reaching f ON f.signature ~ wanted.names
      WHERE NOT EXISTS (
        SELECT FROM pg_catalog.aclexplode(f.rights) a
        WHERE a.grantee = r.oid AND a.privilege_type = 'EXECUTE')
    )
    SELECT pg_catalog.format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', pg_catalog.string_agg(f.name::text, ', '))
    FROM far_reaching f
    WHERE EXISTS (SELECT FROM pg_catalog.aclexplode(f.rights) a WHERE a.grantee = 0)
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
