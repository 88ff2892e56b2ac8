import {
  assistantDatabase,
  bootstrapCluster,
  type DatabasePlan,
  gatewayDatabase,
  parseDatabaseUrl,
  provideRolePasswords,
  type RolePasswords,
  rolesOf,
  withDatabase,
} from "@tandem/postgres";
import type { Command } from "commander";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { CommandError } from "./command-error.ts";
import { absolutePath, readAdminUrl, shortPath } from "./config.ts";
import type { Output } from "./output.ts";

const EXAMPLES = `
The superuser's URL is read from TANDEM_ADMIN_URL, where other users of the machine don't see it:

  export TANDEM_ADMIN_URL=postgresql://postgres:PASSWORD@127.0.0.1:5432/postgres
  tandem databases

Run it again after a restore, an upgrade, or a lost password: what is there is set right, never dropped. It takes
rights from PUBLIC on that server, so give Tandem a server of its own.
`;

const plans = [gatewayDatabase, assistantDatabase];

/** `tandem databases`: both databases with their roles, on a PostgreSQL that is there. */
export function addDatabasesCommand(program: Command, output: Output): void {
  program
    .command("databases")
    .summary("prepare a PostgreSQL server")
    .description(
      "Makes the databases gateway and assistant with their roles, and says what each service needs.",
    )
    .usage("[OPTIONS]")
    .option(
      "--passwords <FILE>",
      "where the roles' passwords are kept; made where they are missing",
      ".tandem/secrets.json",
    )
    .addHelpText("after", EXAMPLES)
    .action(async (options: { readonly passwords: string }) => {
      const adminUrl = checkedUrl(readAdminUrl());
      const file = absolutePath(options.passwords);
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      const passwords = await provideRolePasswords(file, plans.flatMap(rolesOf));
      await bootstrapCluster({ adminUrl, databases: plans, passwords });
      output.writeError(
        `The databases gateway and assistant are prepared; the passwords of their roles are in ${shortPath(file)}.\n`,
      );
      output.write(plans.map((plan) => toVariables(plan, { adminUrl, passwords })).join(""));
    });
}

function checkedUrl(url: string | undefined): string {
  if (url === undefined) {
    throw new CommandError(
      "TANDEM_ADMIN_URL is not set: it is the URL of a superuser, postgresql://postgres:PASSWORD@HOST:PORT/postgres.",
    );
  }
  try {
    parseDatabaseUrl(url);
    return url;
  } catch (error) {
    throw new CommandError(`TANDEM_ADMIN_URL: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function toVariables(
  { name, roles }: DatabasePlan,
  { adminUrl, passwords }: { readonly adminUrl: string; readonly passwords: RolePasswords },
): string {
  const urlOf = (role: string): string => {
    const url = new URL(withDatabase(adminUrl, name));
    url.username = role;
    url.password = passwords[role] ?? "";
    return url.href;
  };
  return [
    "",
    `# The environment of ${name}`,
    `TANDEM_DATABASE_URL=${urlOf(roles.app)}`,
    `TANDEM_MIGRATION_URL=${urlOf(roles.owner)}`,
    ...(roles.dbproxy === undefined ? [] : [`TANDEM_DBPROXY_URL=${urlOf(roles.dbproxy)}`]),
    "",
  ].join("\n");
}
