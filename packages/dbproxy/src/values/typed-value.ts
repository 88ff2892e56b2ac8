import type { Value } from "@tandem/contract/tandem/assistant/v1/db_proxy";

/**
 * A value whose kind on the wire was said, not derived: what json(), numeric() and double() make. Known by
 * its class, so that no object out of a request's body can pass for one. What it holds is not shown when it
 * is logged.
 */
export class TypedValue {
  readonly #kind: Value["kind"];

  constructor(kind: Value["kind"]) {
    this.#kind = kind;
  }

  /** For this package's own use. */
  kind(): Value["kind"] {
    return this.#kind;
  }
}
