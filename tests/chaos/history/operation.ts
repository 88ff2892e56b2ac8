/** What a process asks of the number under a key: a register is read, written and swapped, a counter added to. */
export type Action =
  | { readonly kind: "read" }
  | { readonly kind: "write"; readonly value: number }
  /** Writes where the number is the expected one, as a guarded UPDATE does. */
  | { readonly kind: "swap"; readonly expected: number; readonly value: number }
  | { readonly kind: "add"; readonly by: number };

/**
 * What the process was told:
 *
 * - `done`: it took effect, once, between call and return; `found` is the number after it, where it was told;
 * - `unmet`: of a swap, that the number was another than the expected one between call and return;
 * - `denied`: it has no effect and never will;
 * - `unknown`: nothing; it may take effect at any later time, or never.
 */
export type End =
  | { readonly kind: "done"; readonly at: number; readonly found?: number }
  | { readonly kind: "unmet"; readonly at: number }
  | { readonly kind: "denied" }
  | { readonly kind: "unknown" };

/** One line of a history. Times are of one clock; what happens at the same time is concurrent. */
export interface Operation {
  readonly process: string;
  readonly key: string;
  readonly calledAt: number;
  readonly action: Action;
  readonly end: End;
}

/** The number of every key before anything happened. */
export const INITIAL_NUMBER = 0;

/** The number after an operation that takes effect on it, or undefined where it could not have ended as it did. */
export function apply(number: number, { action, end }: Operation): number | undefined {
  if (end.kind === "unmet") return action.kind === "swap" && action.expected !== number ? number : undefined;
  const after = effect(number, action);
  return end.kind === "done" && end.found !== undefined && end.found !== after ? undefined : after;
}

function effect(number: number, action: Action): number | undefined {
  switch (action.kind) {
    case "read":
      return number;
    case "write":
      return action.value;
    case "swap":
      return action.expected === number ? action.value : undefined;
    case "add":
      return number + action.by;
  }
}

/** Whether the number is the same after it, whatever it was. */
export function changesNothing({ action, end }: Operation): boolean {
  return action.kind === "read" || end.kind === "unmet";
}

/** `p3 add 1 [12, 15] found 4` */
export function describeOperation({ process, calledAt, action, end }: Operation): string {
  const until = "at" in end ? `${end.at}]` : `… ${end.kind}`;
  const found = end.kind === "done" && end.found !== undefined ? ` found ${end.found}` : "";
  return `${process} ${describeAction(action)} [${calledAt}, ${until}${end.kind === "unmet" ? " unmet" : ""}${found}`;
}

/** Two operations whose actions read the same ask for the same. */
export function describeAction(action: Action): string {
  switch (action.kind) {
    case "read":
      return "read";
    case "write":
      return `write ${action.value}`;
    case "swap":
      return `swap ${action.expected} for ${action.value}`;
    case "add":
      return `add ${action.by}`;
  }
}
