import { checkCallerName, defaultRpcLimits, hashToken, parseTokens } from "@tandem/rpc";
import { type Command, Option } from "commander";
import { randomBytes } from "node:crypto";
import { checked, futureTime, wholeNumber } from "./arguments.ts";
import { CommandError } from "./command-error.ts";
import { absolutePath, shortPath } from "./config.ts";
import { changeFile, describeExposure, makeFolderOf, readText } from "./locked-file.ts";
import { type Output, toTable, toText } from "./output.ts";
import { addLine, isHashPrefix, type NewToken, removeLines, shortHash } from "./token-lines.ts";

const DAY_MS = 24 * 3_600_000;
const TOKEN_BYTES = 32;
const FILE = ["--file <FILE>", "the file of hashes that servers read", ".tandem/tokens"] as const;
const { credentialsPollMs, maxTokens } = defaultRpcLimits;

const CREATE_EXAMPLES = `
Examples:
  tandem token create gateway
  (umask 077; tandem token create gateway --days 90 > gateway.token)
  tandem token create console --expires 2027-01-01T00:00:00Z --file /etc/tandem/tokens

The token is written once, alone, and kept nowhere: the file has its hash.
`;

const REVOKE_EXAMPLES = `
Examples:
  tandem token revoke gateway          every token of gateway
  tandem token revoke 5e884898da28     the one with this hash, as "tandem token list" shows it
`;

interface FileOption {
  readonly file: string;
}

interface CreateOptions extends FileOption {
  readonly days?: number;
  readonly expires?: Date;
}

/** `tandem token`: who may call by showing a token. */
export function addTokenCommand(program: Command, output: Output): void {
  const token = program
    .command("token")
    .description("Makes, lists and revokes the tokens that callers show.")
    .usage("COMMAND [OPTIONS]");
  token
    .command("create")
    .description("Makes a token for a caller, writes it to standard output, and adds its hash to the file.")
    .usage("NAME [OPTIONS]")
    .argument("<NAME>", "the caller, as the servers' rules name it", checked(checkCallerName))
    .option(...FILE)
    .addOption(
      new Option("--expires <TIME>", "until when it is good, for example 2027-01-01T00:00:00Z")
        .argParser(futureTime)
        .conflicts("days"),
    )
    .option("--days <N>", "how many days it is good", wholeNumber({ min: 1, max: 36_500 }))
    .addHelpText("after", CREATE_EXAMPLES)
    .action((name: string, options: CreateOptions) => create(name, options, output));
  token
    .command("list")
    .description("Shows whose tokens there are, by the beginning of their hash, and until when.")
    .usage("[OPTIONS]")
    .option(...FILE)
    .action((options: FileOption) => list(options, output));
  token
    .command("revoke")
    .description("Takes tokens out of the file: every one of a caller, or the one with a hash.")
    .usage("NAME|HASH [OPTIONS]")
    .argument("<NAME|HASH>", "a caller's name, or the first 8 digits of a hash or more")
    .option(...FILE)
    .addHelpText("after", REVOKE_EXAMPLES)
    .action((meant: string, options: FileOption) => revoke(meant, options, output));
}

async function create(name: string, options: CreateOptions, output: Output): Promise<void> {
  const { days } = options;
  const expires = days === undefined ? options.expires : new Date(Date.now() + days * DAY_MS);
  const secret = randomBytes(TOKEN_BYTES).toString("base64url");
  const sha256 = hashToken(secret);
  const file = absolutePath(options.file);
  const line: NewToken = { name, sha256, ...(expires === undefined ? {} : { expires }) };
  await makeFolderOf(file);
  await changeFile(file, (text) => {
    const changed = addLine(text, line);
    requireUsable(changed, sha256, file);
    warnOfProblems(changed, file, output);
    return changed;
  });
  // Who has it before the servers do is refused once and wonders.
  output.write(`${secret}\n`);
  output.writeError(
    `${name} has a new token, ${expires === undefined ? "without an end" : `good until ${toText(expires)}`}. It was written to standard output and is kept nowhere else.\n` +
      `${shortPath(file)} has its hash, ${sha256.slice(0, 12)}…; servers whose TANDEM_TOKENS_FILE this is take it within ${credentialsPollMs} ms.\n`,
  );
  await warnOfExposure(file, output);
}

async function list(options: FileOption, output: Output): Promise<void> {
  const file = absolutePath(options.file);
  const text = await requireText(file);
  const { tokens } = parseTokens(text, maxTokens);
  const rows = tokens.map((token) => [token.name, shortHash(token), toEnd(token.expires)]);
  if (rows.length === 0) output.writeError(`${shortPath(file)} has no tokens.\n`);
  else output.write(toTable([["NAME", "HASH", "UNTIL"], ...rows]));
  warnOfProblems(text, file, output);
}

async function revoke(meant: string, options: FileOption, output: Output): Promise<void> {
  const file = absolutePath(options.file);
  await requireText(file);
  let removed: ReturnType<typeof removeLines>["removed"] = [];
  await changeFile(file, (text) => {
    const byName = removeLines(text, ({ name }) => name === meant);
    const byHash = removeLines(
      text,
      ({ sha256 }) => isHashPrefix(meant) && sha256.toString("hex").startsWith(meant),
    );
    const found = byName.removed.length > 0 ? byName : byHash;
    if (found === byHash && new Set(byHash.removed.map(({ sha256 }) => sha256.toString("hex"))).size > 1) {
      throw new CommandError(`${meant} is the beginning of several hashes: give more of its digits.`);
    }
    removed = found.removed;
    return removed.length === 0 ? undefined : found.text;
  });
  if (removed.length === 0) {
    throw new CommandError(
      `${shortPath(file)} has no token of a caller ${meant}${isHashPrefix(meant) ? " and none whose hash begins so" : ""}: nothing was revoked.`,
    );
  }
  const which = removed.map((token) => `${token.name} ${shortHash(token)}`).join(", ");
  output.write(`Revoked ${removed.length === 1 ? "1 token" : `${removed.length} tokens`}: ${which}.\n`);
  output.writeError(
    `Servers whose TANDEM_TOKENS_FILE is ${shortPath(file)} refuse them within ${credentialsPollMs} ms.\n`,
  );
  await warnOfExposure(file, output);
}

async function requireText(file: string): Promise<string> {
  const text = await readText(file);
  if (text !== undefined) return text;
  throw new CommandError(
    `${shortPath(file)} isn't there: name the file that the servers read with --file, or make a token with "tandem token create".`,
  );
}

// Whatever it is that servers would not take of the line (there are too many, for one), the person hears of it now.
function requireUsable(text: string, sha256: string, file: string): void {
  const { tokens, problems } = parseTokens(text, maxTokens);
  if (tokens.some((token) => token.sha256.toString("hex") === sha256)) return;
  throw new CommandError(
    `${shortPath(file)} can't take another token: ${problems.at(-1)?.message ?? "servers would not read its line"}.`,
  );
}

function warnOfProblems(text: string, file: string, output: Output): void {
  for (const { line, message } of parseTokens(text, maxTokens).problems) {
    output.writeError(
      `tandem: line ${line} of ${shortPath(file)} can't be used by any server: ${message}.\n`,
    );
  }
}

async function warnOfExposure(file: string, output: Output): Promise<void> {
  const sentence = await describeExposure(file);
  if (sentence !== undefined) output.writeError(`tandem: ${sentence}\n`);
}

function toEnd(expires: number): string {
  if (expires === Infinity) return "no end";
  return `${toText(new Date(expires))}${expires <= Date.now() ? " (over)" : ""}`;
}
