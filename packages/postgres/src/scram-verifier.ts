import { createHash, createHmac, pbkdf2, randomBytes } from "node:crypto";
import { promisify } from "node:util";

const iterations = 4096;
const saltBytes = 16;
const keyBytes = 32;

/**
 * What PostgreSQL stores for a password, made here so that the password itself is in no statement that a
 * server could log. Throws on a password that is not of printable ASCII: those that are not would have
 * to be normalised by each driver in the same way.
 * https://www.postgresql.org/docs/current/catalog-pg-authid.html
 */
export async function toScramVerifier(password: string): Promise<string> {
  if (!/^[\x20-\x7e]+$/.test(password)) {
    throw new RangeError("A password has at least one character, and all of them are printable ASCII.");
  }
  const salt = randomBytes(saltBytes);
  const salted = await promisify(pbkdf2)(password, salt, iterations, keyBytes, "sha256");
  const storedKey = createHash("sha256").update(sign(salted, "Client Key")).digest("base64");
  const serverKey = sign(salted, "Server Key").toString("base64");
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${storedKey}:${serverKey}`;
}

function sign(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
