/** What a service process is started with. Rows with equal specs share a process. */
export interface ServiceSpec {
  /** Tells apart processes that are otherwise the same. */
  readonly twin?: string;
  /** Certificates on both sides; plaintext where it isn't said. */
  readonly tls?: true;
  /** Each statement is held against a policy that allows what the workloads do, column by column. */
  readonly policy?: true;
}

/** For people: "service with tls", "service (policy/without)". */
export function nameOf({ twin, ...features }: ServiceSpec): string {
  const names = Object.keys(features);
  const withFeatures = names.length === 0 ? "" : ` with ${names.join(" and ")}`;
  return `service${withFeatures}${twin === undefined ? "" : ` (${twin})`}`;
}
