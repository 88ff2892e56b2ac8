import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Where pgbench is: where TANDEM_BENCH_PGBENCH says, or else on the PATH. Undefined where it isn't. */
export function findPgbench(environment = process.env): string | undefined {
  const folders = (environment["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const told = environment["TANDEM_BENCH_PGBENCH"] ?? "";
  const places = told === "" ? folders.map((folder) => join(folder, "pgbench")) : [told];
  return places.find(isProgram);
}

/** This process's environment without settings of services, which are told all that they are to know. */
export function environmentForPrograms(environment = process.env): NodeJS.ProcessEnv {
  const isSetting = (name: string): boolean =>
    name.startsWith("TANDEM_") && !name.startsWith("TANDEM_BENCH_");
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !isSetting(name)));
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
