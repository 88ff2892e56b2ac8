/** What an owner's database holds of one write: how often it was applied, and the receipts. */
export class Ledger {
  readonly #receipts = new Map<string, "committed" | "refused">();
  #effects = 0;
  #delayed: { readonly requestId: string; readonly late: boolean }[] = [];

  /** Applies the write and stores the receipt, or gives the receipt that was there before. */
  commit(requestId: string): "applied" | "committed" | "refused" {
    const receipt = this.#receipts.get(requestId);
    if (receipt !== undefined) return receipt;
    this.#receipts.set(requestId, "committed");
    this.#effects += 1;
    return "applied";
  }

  /** The receipt as it stands, which proves nothing while copies are under way. */
  look(requestId: string): "committed" | "refused" | undefined {
    return this.#receipts.get(requestId);
  }

  /** The receipt, which is made one of a refusal where there was none. */
  fence(requestId: string): "committed" | "refused" {
    const receipt = this.#receipts.get(requestId) ?? "refused";
    this.#receipts.set(requestId, receipt);
    return receipt;
  }

  /** A copy of the write is under way: it arrives before whatever comes next, or late. */
  delay(requestId: string, { late }: { readonly late: boolean }): void {
    this.#delayed.push({ requestId, late });
  }

  /** Lets the delayed copies arrive; the late ones only where nothing else will come. */
  arrive({ last = false }: { readonly last?: boolean } = {}): void {
    const due = this.#delayed.filter(({ late }) => last || !late);
    this.#delayed = this.#delayed.filter((copy) => !due.includes(copy));
    for (const { requestId } of due) this.commit(requestId);
  }

  effects(): number {
    return this.#effects;
  }
}
