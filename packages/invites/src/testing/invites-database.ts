import {
  bootstrapCluster,
  createDatabase,
  type Database,
  migrate,
  mirrorMigrationsFolder,
} from "@tandem/postgres";
import { createTestDatabase, expectNoBackends, runSql } from "@tandem/testkit";
import type { InviteTable } from "../create-invite.ts";

/** A database with contacts, and with invites as each of the services has them, both mirrored. */
export interface InvitesDatabase extends AsyncDisposable {
  /** The app's. */
  readonly database: Database;
  /** The owner's. */
  readonly ownerUrl: string;
  /** Empties it. */
  clear(): Promise<void>;
  /** Says who decides about its rows: at first it does itself, and nobody does while that moves. */
  decides(who: "this one" | "the other one" | "nobody"): Promise<void>;
}

const invites = (table: InviteTable, reference: string): string => `
  CREATE TABLE ${table} (
    id uuid PRIMARY KEY,
    contact_id uuid NOT NULL ${reference},
    source_channel text NOT NULL,
    key_id text NOT NULL,
    token_hash bytea,
    invite_code_hash bytea,
    voice_code_hash bytea,
    voice_code_digits int4,
    expected_external_user_id text,
    source_conversation_id text,
    friend_name text,
    guardian_name text,
    note text,
    max_uses int4 NOT NULL DEFAULT 1,
    use_count int4 NOT NULL DEFAULT 0,
    expires_at timestamptz(6) NOT NULL,
    status text NOT NULL DEFAULT 'active',
    redeemed_by_external_user_id text,
    redeemed_by_external_chat_id text,
    redeemed_at timestamptz(6),
    version int8 NOT NULL DEFAULT 1,
    created_at timestamptz(6) NOT NULL DEFAULT now(),
    updated_at timestamptz(6) NOT NULL DEFAULT now()
  );
  CREATE UNIQUE INDEX ON ${table} (token_hash) WHERE status = 'active';
  CREATE UNIQUE INDEX ON ${table} (invite_code_hash, source_channel) WHERE status = 'active';
  CREATE UNIQUE INDEX ON ${table} (voice_code_hash, source_channel) WHERE status = 'active';`;

const TABLES = `
  CREATE TABLE contacts (id uuid PRIMARY KEY, version int8 NOT NULL DEFAULT 1, updated_at timestamptz(6) NOT NULL DEFAULT now());
  ${invites("ingress_invites", "REFERENCES contacts ON DELETE CASCADE")}
  ${invites("assistant_ingress_invites", "")}
  INSERT INTO tandem.authority (side, authority) VALUES ('here', 'here');
  SELECT tandem.mirror_table('contact', 'contacts');
  SELECT tandem.mirror_table('gateway_invite', 'ingress_invites');
  SELECT tandem.mirror_table('invite', 'assistant_ingress_invites')`;

/** Makes one on the server of this test run, with roles whose names begin with `prefix`. */
export async function createInvitesDatabase(prefix: string): Promise<InvitesDatabase> {
  const target = await createTestDatabase();
  const roles = { owner: `${prefix}_owner`, app: `${prefix}_app`, mirror: `${prefix}_mirror` };
  const passwords = { [roles.owner]: "owner", [roles.app]: "app" };
  await bootstrapCluster({ adminUrl: target.adminUrl, databases: [{ name: target.name, roles }], passwords });
  const ownerUrl = target.urlFor({ name: roles.owner, password: "owner" });
  await migrate({ url: ownerUrl, folders: [mirrorMigrationsFolder()] });
  await runSql(ownerUrl, TABLES);
  const url = target.urlFor({ name: roles.app, password: "app" });
  const database = createDatabase({ url, applicationName: "test", poolSize: 8 });
  return {
    database,
    ownerUrl,
    clear: async () => {
      // Only a superuser can: its rows are mirrored.
      await runSql(
        target.url,
        `SET session_replication_role = replica;
         TRUNCATE contacts, ingress_invites, assistant_ingress_invites, tandem.outbox, tandem.tombstones`,
      );
    },
    decides: async (who) => {
      const authority = who === "the other one" ? "there" : "here";
      const phase =
        who === "nobody" ? "phase = 'draining', move = gen_random_uuid()" : "phase = 'settled', move = NULL";
      await runSql(ownerUrl, `UPDATE tandem.authority SET authority = '${authority}', ${phase}`);
    },
    async [Symbol.asyncDispose]() {
      await database.close({ timeoutMs: 1_000 });
      await expectNoBackends(target.url);
      await target.drop();
      await runSql(target.adminUrl, `DROP ROLE ${Object.values(roles).join(", ")}`);
    },
  };
}
