import {
  checkHost,
  checkName,
  type IssueReason,
  type ProvidedCertificates,
  provideCertificates,
} from "@tandem/certificates";
import type { Command } from "commander";
import { dirname } from "node:path";
import { eachChecked, wholeNumber } from "./arguments.ts";
import { absolutePath, shortPath } from "./config.ts";
import { type Output, toTable } from "./output.ts";

const EXAMPLES = `
Examples:
  tandem certificates gateway assistant
  tandem certificates gateway --host gateway.internal 10.0.0.7
  tandem certificates console --days 7 --folder ~/console/certificates

What is there and good is left alone, so the command can be run again at any time. This is for development and
tests: the authority's key lies in the folder, and whoever can read it can be anybody.
`;

const WHAT_WAS_DONE: Readonly<Record<IssueReason, string>> = {
  missing: "made",
  unusable: "made anew, what was there can't be used",
  "of another authority": "made anew, another authority had issued it",
  "ends soon": "renewed, it was about to end",
  "lacks a host": "made anew, it lacked a host",
  renewed: "renewed",
};

interface Options {
  readonly folder: string;
  readonly host?: readonly string[];
  readonly days?: number;
  readonly renew?: boolean;
}

/** `tandem certificates`: an authority for development and certificates that it issues. */
export function addCertificatesCommand(program: Command, output: Output): void {
  program
    .command("certificates")
    .summary("make certificates for development")
    .description(
      "Makes an authority for development, if there is none, and a certificate for each name: it says tandem://NAME, and is for servers and clients alike.",
    )
    .usage("NAME... [OPTIONS]")
    .argument("<NAME...>", "who is to have a certificate", eachChecked(checkName))
    .option("--folder <DIR>", "where they are kept", ".tandem/certificates")
    .option(
      "--host <NAME...>",
      "names or addresses of hosts to be reached at, beyond this machine and NAME",
      eachChecked(checkHost),
    )
    .option(
      "--days <N>",
      "how long what is made now is valid (365 where it isn't said)",
      wholeNumber({ min: 1, max: 3_650 }),
    )
    .option("--renew", "make the certificates anew, also good ones; the authority stays")
    .addHelpText("after", EXAMPLES)
    .action(async (names: readonly string[], { folder, host, days, renew = false }: Options) => {
      const provided = await provideCertificates({
        folder: absolutePath(folder),
        names,
        renew,
        ...(host === undefined ? {} : { hosts: host }),
        ...(days === undefined ? {} : { days }),
      });
      output.write(`${toTable(toRows(provided))}${toVariables(provided)}`);
    });
}

function toRows({ authorityFile, authorityMade, authorityValidUntil, of }: ProvidedCertificates): string[][] {
  const toRow = (name: string, done: string, validUntil: Date, file: string): string[] => [
    name,
    `${done}, valid until ${validUntil.toISOString().slice(0, 10)}`,
    shortPath(dirname(file)),
  ];
  return [
    toRow("authority", authorityMade ? "made" : "left alone", authorityValidUntil, authorityFile),
    ...Object.entries(of).map(([name, { issued, validUntil, certificateFile }]) =>
      toRow(name, issued === undefined ? "left alone" : WHAT_WAS_DONE[issued], validUntil, certificateFile),
    ),
  ];
}

function toVariables({ authorityFile, of }: ProvidedCertificates): string {
  const blocks = Object.entries(of).map(([name, { certificateFile, keyFile }]) =>
    [
      "",
      `# The environment of ${name}`,
      `TANDEM_TLS_AUTHORITY_FILE=${quoted(authorityFile)}`,
      `TANDEM_TLS_CERTIFICATE_FILE=${quoted(certificateFile)}`,
      `TANDEM_TLS_KEY_FILE=${quoted(keyFile)}`,
      "",
    ].join("\n"),
  );
  return blocks.join("");
}

// As a shell takes it.
function quoted(path: string): string {
  return /^[\w./@%+=:,-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
