/** What rows call. Rows with equal specs share it. */
export type ServiceSpec = DbProxySpec | PairSpec;

/** DbProxy by itself, in a process. */
export interface DbProxySpec {
  /** Tells apart processes that are otherwise the same. */
  readonly twin?: string;
  /** Certificates on both sides; plaintext where it isn't said. */
  readonly tls?: true;
  /** Each statement is held against a policy that allows what the workloads do, column by column. */
  readonly policy?: true;
  /** Node's and V8's, as they stand on a command line. */
  readonly flags?: readonly string[];
}

/** Both services as they are run, each with a database of its own; rows call the gateway. */
export interface PairSpec {
  /** Whose database decides about contacts and invites. */
  readonly decides: Side;
  /** Tells apart pairs that are otherwise the same. */
  readonly twin?: string;
}

export type Side = "assistant" | "gateway";

/** For people: "service with tls and --single-threaded-gc", "service (policy/without)", "pair: the gateway decides". */
export function nameOf(spec: ServiceSpec): string {
  const twin = spec.twin === undefined ? "" : ` (${spec.twin})`;
  if ("decides" in spec) return `pair: the ${spec.decides} decides${twin}`;
  const { twin: _, flags = [], ...features } = spec;
  const names = [...Object.keys(features), ...flags];
  return `service${names.length === 0 ? "" : ` with ${names.join(" and ")}`}${twin}`;
}
