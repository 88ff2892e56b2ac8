import { relative, resolve } from "node:path";

/** A path that a person wrote, counted from where they stand: npm runs scripts in the checkout. */
export function absolutePath(path: string, environment = process.env): string {
  return resolve(environment["INIT_CWD"] ?? ".", path);
}

/** A path as a person would write it where they stand. */
export function shortPath(path: string): string {
  const short = relative(absolutePath("."), path);
  return short.startsWith("..") || short === "" ? path : short;
}

/** A superuser's, for preparing a server: not an argument, which other users of the machine could read. */
export function readAdminUrl(environment = process.env): string | undefined {
  const url = environment["TANDEM_ADMIN_URL"];
  return url === "" ? undefined : url;
}
