import { type Description, sameDescription } from "./description.ts";

interface Prepared {
  readonly name: string;
  readonly description: Description | undefined;
  readonly at: number;
}

// The texts of a program are few and short. In PostgreSQL's memory a long list of constants, parsed and planned, weighs
// a hundred times what it does as a text: what one connection keeps is to stay below 32 MiB.
const MAX_PREPARED = 256;
const MAX_CHARACTERS = 256 * 1024;
const MAX_TEXT_CHARACTERS = 16 * 1024;
// PostgreSQL keeps the types that it inferred for the parameters, also where a migration has changed those of the
// columns since.
const BELIEVED_MS = 60_000;
const NAME_CHARACTERS = 40;
// PostgreSQL keeps the type that it inferred for a parameter, and a value that goes by one of these into a column that
// has become another loses something, without an error: float4, float8, numeric, date, time, timestamp, bpchar, "char",
// name, bit, and lists of these.
const LOSSY: ReadonlySet<number> = new Set([
  700, 701, 1700, 1082, 1083, 1114, 1042, 18, 19, 1560, 1021, 1022, 1231, 1182, 1183, 1115, 1014, 1002, 1003,
  1561,
]);

/** Which texts are prepared on one connection, and under which names. */
export class PreparedStatements {
  readonly #byText = new Map<string, Prepared>();
  #closing: string[] = [];
  #characters = 0;
  #count = 0;

  /** Whether a text is worth keeping. */
  keeps(text: string): boolean {
    return text.length <= MAX_TEXT_CHARACTERS;
  }

  /** Under which name a text is prepared that is still what is believed of it. */
  nameOf(text: string, believed: Description | undefined): string | undefined {
    const found = this.#byText.get(text);
    if (found === undefined || Date.now() - found.at > BELIEVED_MS) return undefined;
    const { name, description } = found;
    const same =
      description === undefined || believed === undefined
        ? description === believed
        : sameDescription(description, believed);
    if (!same) return undefined;
    this.#byText.delete(text);
    this.#byText.set(text, found);
    return name;
  }

  /** A name that nothing has yet, and by which whoever reads a trace or a log knows whose it is, and the text. */
  newName(text: string, whose: "tandem" | "caller"): string {
    this.#count += 1;
    return `${whose}_${this.#count} ${text.slice(0, NAME_CHARACTERS).replaceAll(/[^\w .]+/g, " ")}`;
  }

  /** To be called when PostgreSQL has said that it is prepared, not before. */
  add(text: string, name: string, description: Description | undefined): void {
    this.forget(text);
    if (description?.paramTypes.some((type) => LOSSY.has(type))) return this.discard(name);
    this.#byText.set(text, { name, description, at: Date.now() });
    this.#characters += text.length;
    for (const [oldest] of this.#byText) {
      if (this.#byText.size <= MAX_PREPARED && this.#characters <= MAX_CHARACTERS) break;
      this.forget(oldest);
    }
  }

  forget(text: string): void {
    const found = this.#byText.get(text);
    if (found === undefined) return;
    this.#closing.push(found.name);
    this.#characters -= text.length;
    this.#byText.delete(text);
  }

  /** Of no use to anybody: to be closed with the next flush. */
  discard(name: string): void {
    this.#closing.push(name);
  }

  forgetAll(): void {
    for (const text of this.#byText.keys()) this.forget(text);
  }

  /** The names that have to be closed, once. */
  takeClosing(): readonly string[] {
    const names = this.#closing;
    this.#closing = [];
    return names;
  }
}
