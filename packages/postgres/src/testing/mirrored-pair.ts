import { createTestDatabase, runSql, type TestDatabase } from "@tandem/testkit";
import { bootstrapCluster } from "../bootstrap.ts";
import { createDatabase, type Database } from "../create-database.ts";
import { migrate } from "../migrate.ts";
import { mirrorMigrationsFolder } from "../mirror/migrations-folder.ts";

/** One of two databases that hold the same rows. */
export interface MirroredSide extends AsyncDisposable {
  /** The app's. */
  readonly database: Database;
  readonly url: string;
  readonly ownerUrl: string;
  /** Empties it, past all triggers, as only a superuser can. */
  clear(): Promise<void>;
}

/** Where `east` decides. Their rows are notes with lines, and the tags of notes, which belong to an aggregate of their own. */
export interface MirroredPair extends AsyncDisposable {
  readonly east: MirroredSide;
  readonly west: MirroredSide;
}

/** Makes both, on the server of this test run, with roles whose names begin with `prefix`. */
export async function createMirroredPair(prefix: string): Promise<MirroredPair> {
  await using parts = new AsyncDisposableStack();
  const east = parts.use(await createSide(prefix, "east"));
  const west = parts.use(await createSide(prefix, "west"));
  const moved = parts.move();
  return { east, west, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

async function createSide(prefix: string, side: string): Promise<MirroredSide> {
  const target: TestDatabase = await createTestDatabase();
  const [owner, app, mirror] = ["owner", "app", "mirror"].map((role) => `${prefix}_${side}_${role}`) as [
    string,
    string,
    string,
  ];
  const passwords = { [owner]: "owner", [app]: "app" };
  const plan = { name: target.name, roles: { owner, app, mirror } };
  await bootstrapCluster({ adminUrl: target.adminUrl, databases: [plan], passwords });
  const ownerUrl = target.urlFor({ name: owner, password: "owner" });
  await migrate({ url: ownerUrl, folders: [mirrorMigrationsFolder()] });
  await runSql(ownerUrl, `INSERT INTO tandem.authority (side, authority) VALUES ('${side}', 'east')`);
  await runSql(ownerUrl, TABLES);
  await runSql(
    ownerUrl,
    `GRANT UPDATE, DELETE ON tandem.outbox TO ${app}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tandem TO ${app}`,
  );
  const url = target.urlFor({ name: app, password: "app" });
  const database = createDatabase({ url, applicationName: `test-${side}` });
  return {
    database,
    url,
    ownerUrl,
    clear: async () => {
      await runSql(
        target.url,
        "SET session_replication_role = replica; TRUNCATE notes, note_lines, tags, tandem.outbox, tandem.tombstones",
      );
    },
    [Symbol.asyncDispose]: async () => {
      await database.close();
      await target.drop();
      await runSql(target.adminUrl, `DROP ROLE ${owner}, ${app}, ${mirror}`);
    },
  };
}

const ROW = `id uuid PRIMARY KEY, version bigint NOT NULL DEFAULT 1, updated_at timestamptz NOT NULL DEFAULT now()`;

const TABLES = `
  CREATE TABLE notes (${ROW}, title text NOT NULL);
  CREATE TABLE note_lines (
    ${ROW}, note_id uuid NOT NULL REFERENCES notes ON DELETE CASCADE, place text NOT NULL UNIQUE, text text NOT NULL DEFAULT ''
  );
  CREATE TABLE tags (${ROW}, note_id uuid NOT NULL REFERENCES notes ON DELETE CASCADE, name text NOT NULL);
  SELECT tandem.mirror_table('note', 'notes', 'note_lines');
  SELECT tandem.mirror_table('tag', 'tags');
`;
