import { inviteLimits, isKeyId, type KeysText, makeKey, writeKeys, type WrittenKey } from "@tandem/invites";
import { defaultRpcLimits } from "@tandem/rpc";
import type { Command } from "commander";
import { checked } from "./arguments.ts";
import { CommandError } from "./command-error.ts";
import { absolutePath, shortPath } from "./config.ts";
import { readKeys } from "./invite-keys-text.ts";
import { changeFile, describeExposure, makeFolderOf, readText } from "./locked-file.ts";
import { type Output, toTable } from "./output.ts";

const FILE = ["--file <FILE>", "the file of keys that both services read", ".tandem/invite-keys"] as const;
const KEY = ["<KEY>", 'a key, as "tandem invite-keys list" shows it', checked(checkKeyId)] as const;
const { credentialsPollMs } = defaultRpcLimits;

const EXAMPLES = `
Examples, to replace the key that invites are made with:
  tandem invite-keys add                  a new key, for look-ups at first
  tandem invite-keys use 2026-11-21       once every service has read it: new invites are made with it
  tandem invite-keys retire 2025-11-03    once no invite of the old one is live any more
`;

interface FileOption {
  readonly file: string;
}

/** `tandem invite-keys`: what the secrets of invites are made and found with. */
export function addInviteKeysCommand(program: Command, output: Output): void {
  const keys = program
    .command("invite-keys")
    .description("Makes, shows and replaces the keys that invites' tokens and codes are made with.")
    .usage("COMMAND [OPTIONS]")
    .addHelpText("after", EXAMPLES);
  keys
    .command("add")
    .description("Adds a new key to the file, for look-ups; the first one of a file makes invites at once.")
    .usage("[OPTIONS]")
    .option(...FILE)
    .action((options: FileOption) => add(options, output));
  keys
    .command("list")
    .description("Shows which keys there are, and which one makes new invites.")
    .usage("[OPTIONS]")
    .option(...FILE)
    .action((options: FileOption) => list(options, output));
  keys
    .command("use")
    .description("Makes new invites with a key that is in the file.")
    .usage("KEY [OPTIONS]")
    .argument(...KEY)
    .option(...FILE)
    .action((id: string, options: FileOption) => use(id, options, output));
  keys
    .command("retire")
    .description(
      "Takes a key out of the file, for good: invites that were made with it can't be redeemed any more.",
    )
    .usage("KEY --checked [OPTIONS]")
    .argument(...KEY)
    .option(
      "--checked",
      "no live invite was made with it: without this, what to check is said and nothing is done",
    )
    .option(...FILE)
    .action((id: string, options: FileOption & { readonly checked?: true }) => retire(id, options, output));
}

async function add(options: FileOption, output: Output): Promise<void> {
  const file = absolutePath(options.file);
  let added: WrittenKey | undefined;
  let isFirst = false;
  await makeFolderOf(file);
  await changeFile(file, (text) => {
    isFirst = text.trim() === "";
    const before = isFirst ? undefined : readKeys(text, shortPath(file));
    if (before !== undefined && before.keys.length >= inviteLimits.maxKeys) {
      throw new CommandError(
        `${shortPath(file)} has ${inviteLimits.maxKeys} keys, and services take no more: retire one first.`,
      );
    }
    added = makeKey(before?.keys ?? []);
    return writeKeys({ current: before?.current ?? added.id, keys: [...(before?.keys ?? []), added] });
  });
  const id = added?.id ?? "";
  output.write(`${shortPath(file)} has a new key, ${id}.\n`);
  output.writeError(
    isFirst
      ? `It makes new invites. Give the file to both services, as TANDEM_INVITE_KEYS_FILE.\n`
      : `It is for look-ups until "tandem invite-keys use ${id}": first let every service read it, within ${credentialsPollMs} ms where the file is theirs, and copy it to those that have their own.\n`,
  );
  await warnOfExposure(file, output);
}

async function list(options: FileOption, output: Output): Promise<void> {
  const file = absolutePath(options.file);
  const { current, keys } = await requireKeys(file);
  const rows = keys.map(({ id }) => [
    id,
    id === current ? "makes new invites, and finds them" : "finds invites",
  ]);
  output.write(toTable([["KEY", "USE"], ...rows]));
}

async function use(id: string, options: FileOption, output: Output): Promise<void> {
  const file = absolutePath(options.file);
  await change(file, (before) => {
    requireKey(before, id, file);
    return { ...before, current: id };
  });
  output.write(`New invites are made with ${id}.\n`);
  output.writeError(
    `Services whose TANDEM_INVITE_KEYS_FILE is ${shortPath(file)} do so within ${credentialsPollMs} ms. The other keys find the invites that were made before.\n`,
  );
  await warnOfExposure(file, output);
}

async function retire(
  id: string,
  options: FileOption & { readonly checked?: true },
  output: Output,
): Promise<void> {
  const file = absolutePath(options.file);
  await change(file, (before) => {
    requireKey(before, id, file);
    if (id === before.current) {
      throw new CommandError(
        `New invites are made with ${id}: it can't be retired before another key is, by "tandem invite-keys add" and "tandem invite-keys use".`,
      );
    }
    if (options.checked !== true) throw new CommandError(whatToCheck(id));
    return { ...before, keys: before.keys.filter((key) => key.id !== id) };
  });
  output.write(`${id} was taken out of ${shortPath(file)}.\n`);
  output.writeError(
    `Services whose TANDEM_INVITE_KEYS_FILE it is forget it within ${credentialsPollMs} ms. An invite that was made with it can't be redeemed any more.\n`,
  );
  await warnOfExposure(file, output);
}

function whatToCheck(id: string): string {
  const count = (table: string): string =>
    `  SELECT count(*) FROM ${table} WHERE key_id = '${id}' AND status = 'active' AND expires_at > now();`;
  return [
    `Nothing was changed: an invite that was made with ${id} can't be redeemed once it is gone, and the key can't be had back. Look for live ones in both databases, and once both give 0, run this again with --checked:`,
    count("ingress_invites"),
    count("assistant_ingress_invites"),
  ].join("\n");
}

async function change(file: string, to: (before: KeysText) => KeysText): Promise<void> {
  await requireKeys(file);
  await changeFile(file, (text) => writeKeys(to(readKeys(text, shortPath(file)))));
}

async function requireKeys(file: string): Promise<KeysText> {
  const text = await readText(file);
  if (text !== undefined) return readKeys(text, shortPath(file));
  throw new CommandError(
    `${shortPath(file)} isn't there: name the file that the services read with --file, or make it with "tandem invite-keys add".`,
  );
}

function requireKey({ keys }: KeysText, id: string, file: string): void {
  if (keys.some((key) => key.id === id)) return;
  throw new CommandError(
    `${shortPath(file)} has no key ${id}: it has ${keys.map((key) => key.id).join(", ")}. Nothing was changed.`,
  );
}

function checkKeyId(id: string): void {
  if (!isKeyId(id)) throw new TypeError("it is no key's name");
}

async function warnOfExposure(file: string, output: Output): Promise<void> {
  const sentence = await describeExposure(file);
  if (sentence !== undefined) output.writeError(`tandem: ${sentence}\n`);
}
