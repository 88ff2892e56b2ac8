import { EmbeddedServerError } from "./embedded-server-error.ts";
import { runCommand } from "./run-command.ts";

const accountName = "postgres";

/** The user of the operating system that the server runs as. */
export interface ServerUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Whether this process is root's, which PostgreSQL refuses to run as. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/**
 * The account that the server runs as where this process is root's; made where it is missing.
 *
 * @throws EmbeddedServerError NO_OS_USER where the machine has no such account and none can be made.
 */
export async function accountForRoot(onProgress: (line: string) => void): Promise<ServerUser> {
  const existing = await findAccount(accountName);
  if (existing !== undefined) return existing;
  onProgress(`PostgreSQL refuses to run as root: creating the system user "${accountName}" for it`);
  const group = await runCommand({ file: "groupadd", args: ["--system", "--force", accountName] });
  const user = await runCommand({
    file: "useradd",
    args: ["--system", "--gid", accountName, "--no-create-home", "--home-dir", "/", accountName],
  });
  const created = await findAccount(accountName);
  if (created !== undefined) return created;
  const reason = (group.stderr || user.stderr).trim();
  throw new EmbeddedServerError(
    "NO_OS_USER",
    `PostgreSQL refuses to run as root, and the user "${accountName}" that it would run as is not there and ` +
      `could not be created (${reason}). Create it, or run this as an ordinary user.`,
  );
}

/** Whether a user may execute a file or pass through a folder, asked of the system itself. */
export async function canPass(user: ServerUser, path: string): Promise<boolean> {
  const { code } = await runCommand({ file: "/bin/sh", args: ["-c", 'test -x "$1"', "sh", path], user });
  return code === 0;
}

async function findAccount(name: string): Promise<ServerUser | undefined> {
  const uid = await idOf("-u", name);
  const gid = await idOf("-g", name);
  return uid === undefined || gid === undefined ? undefined : { name, uid, gid };
}

async function idOf(which: "-u" | "-g", name: string): Promise<number | undefined> {
  const { code, stdout } = await runCommand({ file: "id", args: [which, name] });
  return code === 0 ? Number(stdout.trim()) : undefined;
}
