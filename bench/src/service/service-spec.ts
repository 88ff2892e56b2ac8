/** What a service process is started with. Rows with equal specs share a process. */
export interface ServiceSpec {
  /** Tells apart processes that are otherwise the same. */
  readonly twin?: string;
  /** Certificates on both sides; plaintext where it isn't said. */
  readonly tls?: true;
  /** Each statement is held against a policy that allows what the workloads do, column by column. */
  readonly policy?: true;
  /** Node's and V8's, as they stand on a command line. */
  readonly flags?: readonly string[];
}

/** For people: "service with tls and --single-threaded-gc", "service (policy/without)". */
export function nameOf({ twin, flags = [], ...features }: ServiceSpec): string {
  const names = [...Object.keys(features), ...flags];
  const withFeatures = names.length === 0 ? "" : ` with ${names.join(" and ")}`;
  return `service${withFeatures}${twin === undefined ? "" : ` (${twin})`}`;
}
