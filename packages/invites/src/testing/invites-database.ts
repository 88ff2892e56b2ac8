import { createDatabase, type Database } from "@tandem/postgres";
import { createTestDatabase, expectNoBackends, runSql } from "@tandem/testkit";
import type { InviteTable } from "../create-invite.ts";

/** A database with contacts, and with invites as each of the services has them. */
export interface InvitesDatabase extends AsyncDisposable {
  readonly url: string;
  readonly database: Database;
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

export async function createInvitesDatabase(): Promise<InvitesDatabase> {
  const testDatabase = await createTestDatabase();
  const { url } = testDatabase;
  await runSql(
    url,
    `CREATE TABLE contacts (id uuid PRIMARY KEY);
     ${invites("ingress_invites", "REFERENCES contacts ON DELETE CASCADE")}
     ${invites("assistant_ingress_invites", "")}`,
  );
  const database = createDatabase({ url, applicationName: "test", poolSize: 8 });
  return {
    url,
    database,
    async [Symbol.asyncDispose]() {
      await database.close({ timeoutMs: 1_000 });
      await expectNoBackends(url);
      await testDatabase.drop();
    },
  };
}
