import type { LoadPlace, ServicePlace } from "../row.ts";

/** How the row's pair is reached: the gateway's address, and the databases. */
export function pairOf({ service }: Pick<LoadPlace, "service">): Required<Omit<ServicePlace, "tls">> {
  if (service?.databases !== undefined) return { address: service.address, databases: service.databases };
  throw new Error("The row asks for no pair: add `service: { decides: … }` to it.");
}
