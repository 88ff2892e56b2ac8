import { join, relative, resolve } from "node:path";
import { SettingError, Settings } from "@tandem/rpc";

/** What can be set for a pair on one machine. */
export interface LocalConfig {
  /** All of them of 127.0.0.1. */
  readonly ports: Readonly<Record<PortName, number>>;
  /** Absolute. */
  readonly dataFolder: string;
  readonly logLevel: string;
  /** Whether to show the README's example once everything is up. */
  readonly example: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

const repository = resolve(import.meta.dirname, "..", "..", "..");

/** What the gateway may do in the assistant's database here: more than where others could come. */
export const policyFile: string = join(import.meta.dirname, "..", "policy.yaml");

/** The names of the variables that set a port, for messages about it. */
export const portVariables = {
  gateway: "TANDEM_GATEWAY_PORT",
  assistant: "TANDEM_ASSISTANT_PORT",
  dbProxy: "TANDEM_DBPROXY_PORT",
  postgres: "TANDEM_POSTGRES_PORT",
} as const;

export type PortName = keyof typeof portVariables;

/**
 * Reads the settings from the environment.
 *
 * @throws SettingError with a sentence that names the variable
 */
export function readConfig(environment: Environment = process.env): LocalConfig {
  const settings = new Settings(environment);
  const port = (name: string, byDefault: number): number =>
    settings.integer(name, { byDefault, min: 1, max: 65_535 });
  const config: LocalConfig = {
    ports: {
      gateway: port(portVariables.gateway, 7401),
      assistant: port(portVariables.assistant, 7402),
      dbProxy: port(portVariables.dbProxy, 7403),
      postgres: port(portVariables.postgres, 7432),
    },
    // npm runs scripts in the checkout, wherever the person stands.
    dataFolder: resolve(
      settings.text("INIT_CWD", "."),
      settings.text("TANDEM_DATA", join(repository, ".tandem")),
    ),
    example: settings.choice("TANDEM_EXAMPLE", ["true", "false"], "true") === "true",
    logLevel: settings.choice(
      "TANDEM_LOG_LEVEL",
      ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
      "info",
    ),
  };
  const ports = Object.values(config.ports);
  if (new Set(ports).size < ports.length) {
    throw new SettingError(`${Object.values(portVariables).join(", ")} must be different ports.`);
  }
  return config;
}

/** Where the services' certificates are. */
export function certificatesFolder({ dataFolder }: LocalConfig): string {
  return join(dataFolder, "certificates");
}

/** The environment of a service: this process's own, with what is given to the service. */
export function environmentFor(service: Environment, environment: Environment = process.env): Environment {
  return { ...environment, ...service };
}

/** A path as a person would write it where they are. */
export function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") || short === "" ? path : short;
}
