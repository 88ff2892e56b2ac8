import { CertificatesError } from "@tandem/certificates";
import { BootstrapError, ConnectError } from "@tandem/postgres";
import { Command, CommanderError } from "commander";
import { addCertificatesCommand } from "./certificates-command.ts";
import { CommandError } from "./command-error.ts";
import { addDatabasesCommand } from "./databases-command.ts";
import { addInviteKeysCommand } from "./invite-keys-command.ts";
import type { Output } from "./output.ts";
import { addTokenCommand } from "./token-command.ts";

const USAGE = 2;
const FAILED = 1;

/**
 * Runs one command.
 *
 * @returns the exit code: 0 where it did what it was asked to, 1 where it couldn't, and 2 where it wasn't asked
 *   properly; then it has written a sentence that says why
 */
export async function runCommandLine(args: readonly string[], output: Output): Promise<0 | 1 | 2> {
  try {
    await createProgram(output).parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    // Commander has written what there is to say.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
    output.writeError(`tandem: ${describe(error)}\n`);
    return FAILED;
  }
}

function createProgram(output: Output): Command {
  const program = new Command("tandem")
    .description(
      "For the person who runs a gateway and an assistant: certificates, tokens, keys of invites, databases.",
    )
    .usage("COMMAND [OPTIONS]")
    .exitOverride()
    .configureOutput({
      writeOut: output.write,
      writeErr: output.writeError,
      outputError: (text, write) => write(text.replace(/^error: (.)/, "tandem: $1")),
    })
    .showHelpAfterError("Add --help to see how it is used.");
  addCertificatesCommand(program, output);
  addTokenCommand(program, output);
  addInviteKeysCommand(program, output);
  addDatabasesCommand(program, output);
  return program;
}

const foreseen = [CommandError, CertificatesError, BootstrapError, ConnectError];

function describe(error: unknown): string {
  if (foreseen.some((known) => error instanceof known) && error instanceof Error) return error.message;
  // Whatever else it is, a person has no use for where in the code it was.
  return `Something went wrong that should not have: ${error instanceof Error ? error.message : String(error)}`;
}
