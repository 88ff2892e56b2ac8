import { randomBytes } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { LocalError } from "./local-error.ts";

/** Passwords by the name of the role. */
export type Passwords = Readonly<Record<string, string>>;

/**
 * The passwords of the databases' roles: made once, kept in a file that only its owner can read. A
 * role that is new, or a file that got lost, makes new ones: they are set on the server at each start.
 *
 * @throws LocalError where the file can't be read or written
 */
export async function providePasswords(dataFolder: string, roles: readonly string[]): Promise<Passwords> {
  const file = join(dataFolder, "secrets.json");
  try {
    const known = await readPasswords(file);
    const passwords = { ...Object.fromEntries(roles.map((role) => [role, newPassword()])), ...known };
    if (roles.some((role) => known[role] === undefined)) await writePasswords(file, passwords);
    return passwords;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LocalError(`The roles' passwords can't be kept in ${file} (${reason}).`, { cause: error });
  }
}

async function readPasswords(file: string): Promise<Passwords> {
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

async function writePasswords(file: string, passwords: Passwords): Promise<void> {
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
