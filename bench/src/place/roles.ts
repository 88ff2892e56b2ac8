import { type DatabasePlan, rolesOf } from "@tandem/postgres";

/** The passwords of the roles of these databases. Roles are the whole server's: each has one password here. */
export function passwordsOf(...plans: readonly DatabasePlan[]): Record<string, string> {
  return Object.fromEntries(plans.flatMap(rolesOf).map((role) => [role, passwordOf(role)]));
}

/** How one of its roles connects to a database, on the server that the superuser's URL is of. */
export function roleUrl(
  adminUrl: string,
  { name, roles }: DatabasePlan,
  role: "owner" | "app" | "dbproxy",
): string {
  const url = new URL(adminUrl);
  url.username = roles[role] ?? "";
  url.password = passwordOf(url.username);
  url.pathname = `/${name}`;
  return url.href;
}

/** How the superuser connects to a database of the server. */
export function adminUrlOf(adminUrl: string, { name }: DatabasePlan): string {
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.href;
}

const passwordOf = (role: string): string => `${role}-bench`;
