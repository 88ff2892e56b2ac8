import { randomBytes } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { BootstrapError } from "./bootstrap-error.ts";

/** Passwords by the name of the role. */
export type RolePasswords = Readonly<Record<string, string>>;

/**
 * The passwords of the databases' roles: made once, kept in a file that only its owner can read. A role that is new,
 * or a file that got lost, makes new ones; who bootstraps sets them on the server. Fails with a BootstrapError where
 * the file can't be read or written.
 */
export async function provideRolePasswords(file: string, roles: readonly string[]): Promise<RolePasswords> {
  try {
    const known = await readPasswords(file);
    const passwords = { ...Object.fromEntries(roles.map((role) => [role, newPassword()])), ...known };
    if (roles.some((role) => known[role] === undefined)) await writePasswords(file, passwords);
    return passwords;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BootstrapError(`The roles' passwords can't be kept in ${file} (${reason}).`, error);
  }
}

async function readPasswords(file: string): Promise<RolePasswords> {
  let content: unknown;
  try {
    content = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    const isAbsent = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (isAbsent || error instanceof SyntaxError) return {};
    throw error;
  }
  if (typeof content !== "object" || content === null) return {};
  return Object.fromEntries(
    Object.entries(content).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

async function writePasswords(file: string, passwords: RolePasswords): Promise<void> {
  const draft = `${file}.${randomBytes(4).toString("hex")}`;
  const handle = await open(draft, "wx", 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(passwords, undefined, 2)}\n`);
  } finally {
    await handle.close();
  }
  await rename(draft, file);
}

function newPassword(): string {
  return randomBytes(24).toString("base64url");
}
