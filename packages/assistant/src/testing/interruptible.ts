import type { Interruptible } from "@tandem/rpc";

/** Does work to its end, and counts the parts that it came in after the first. */
export function partsOf<T>(work: Interruptible<T>): { readonly value: T; readonly parts: number } {
  for (let parts = 0; ; parts += 1) {
    const next = work.next();
    if (next.done === true) return { value: next.value, parts };
  }
}

export function finish<T>(work: Interruptible<T>): T {
  return partsOf(work).value;
}
