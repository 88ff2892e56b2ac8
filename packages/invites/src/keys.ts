import { createSecretKey, type KeyObject } from "node:crypto";
import { inviteLimits } from "./limits.ts";

/** Two secrets under one name. Nothing that writes values out shows them: a KeyObject keeps its bytes to itself. */
export interface InviteKey {
  readonly id: string;
  /** What secrets are derived with. */
  readonly deriveKey: KeyObject;
  /** What they are hashed with, to be looked up by. */
  readonly hashKey: KeyObject;
}

/** The keys of a moment. */
export interface InviteKeys {
  /** The one that new invites are made with. */
  readonly current: InviteKey;
  /** Those whose invites are found, the current one included. */
  readonly live: readonly InviteKey[];
}

/** A file of keys can't be used. The message says which key and why, and never what it is. */
export class InviteKeysError extends Error {
  override readonly name = "InviteKeysError";
}

/** A key as the file has it: its two secrets in base64url. */
export interface WrittenKey {
  readonly id: string;
  readonly derive: string;
  readonly hash: string;
}

/** What is in the file: JSON. */
export interface WrittenKeys {
  /** The id of one of the keys. */
  readonly current: string;
  readonly keys: readonly WrittenKey[];
}

const { maxKeys, minKeyBytes, maxKeyBytes } = inviteLimits;
// Written into rows, logs and a command's arguments: nothing in it may need quoting.
const KEY_ID = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;

/** Reads the text of a file of keys. Fails with an InviteKeysError. */
export function parseInviteKeys(text: string): InviteKeys {
  const { current, keys } = readWrittenKeys(text);
  return { current: toInviteKey(current), live: keys.map(toInviteKey) };
}

/** The same as it is written, checked in the same way, for who changes the file. Fails with an InviteKeysError. */
export function readWrittenKeys(text: string): {
  readonly current: WrittenKey;
  readonly keys: readonly WrittenKey[];
} {
  const { current, keys } = parseObject(text, ["current", "keys"], "it");
  if (!Array.isArray(keys)) throw new InviteKeysError("it has no list of keys");
  if (keys.length > maxKeys) throw new InviteKeysError(`it has more than ${maxKeys} keys`);
  const seen = new Set<string>();
  const written = keys.map((key: unknown, index) => checkKey(key, `keys[${index}]`, seen));
  const found = written.find(({ id }) => id === current);
  // What current says is not repeated: it may be a secret in the wrong place.
  if (found === undefined) throw new InviteKeysError("its current is not the id of one of its keys");
  return { current: found, keys: written };
}

/** Whether a text can be the id of a key. */
export function isKeyId(text: string): boolean {
  return KEY_ID.test(text);
}

function checkKey(key: unknown, place: string, seen: Set<string>): WrittenKey {
  const { id, derive, hash } = checkObject(key, ["id", "derive", "hash"], place);
  if (typeof id !== "string" || !KEY_ID.test(id)) {
    throw new InviteKeysError(
      `the id of ${place} is not 1 to 64 lower-case letters, digits, dots, hyphens and underscores`,
    );
  }
  if (seen.has(id)) throw new InviteKeysError(`there are two keys "${id}"`);
  seen.add(id);
  return {
    id,
    derive: checkSecret(derive, `derive of the key "${id}"`, seen),
    hash: checkSecret(hash, `hash of the key "${id}"`, seen),
  };
}

function checkSecret(secret: unknown, name: string, seen: Set<string>): string {
  const bytes = typeof secret === "string" ? Buffer.from(secret, "base64url") : Buffer.alloc(0);
  // Node passes over what is not base64url: what it read has to be what is there.
  if (typeof secret !== "string" || bytes.toString("base64url") !== secret.replace(/=+$/, "")) {
    throw new InviteKeysError(`${name} is not in base64url`);
  }
  if (bytes.length < minKeyBytes || bytes.length > maxKeyBytes) {
    throw new InviteKeysError(
      `${name} has ${bytes.length} bytes, and must have from ${minKeyBytes} to ${maxKeyBytes}`,
    );
  }
  const same = `secret ${bytes.toString("hex")}`;
  if (seen.has(same))
    throw new InviteKeysError(`${name} is the secret of another key as well, or twice its own`);
  seen.add(same);
  return secret;
}

function parseObject<K extends string>(
  text: string,
  names: readonly K[],
  place: string,
): Readonly<Partial<Record<K, unknown>>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // What JSON.parse says repeats what it was given.
    throw new InviteKeysError("it is not JSON");
  }
  return checkObject(value, names, place);
}

function checkObject<K extends string>(
  value: unknown,
  names: readonly K[],
  place: string,
): Readonly<Partial<Record<K, unknown>>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InviteKeysError(`${place} is not a JSON object`);
  }
  const known: readonly string[] = names;
  if (!Object.keys(value).every((name) => known.includes(name))) {
    throw new InviteKeysError(`${place} has something else than ${names.join(", ")}`);
  }
  return value as Readonly<Partial<Record<K, unknown>>>;
}

function toInviteKey({ id, derive, hash }: WrittenKey): InviteKey {
  const toKey = (secret: string): KeyObject => createSecretKey(Buffer.from(secret, "base64url"));
  return { id, deriveKey: toKey(derive), hashKey: toKey(hash) };
}
