import { type Description, sameDescription } from "./description.ts";
import { nameOf, type OwnStatement, type OwnStatements } from "./own-statements.ts";

interface Prepared {
  readonly name: string;
  readonly description: Description;
  readonly at: number;
  /** When it last became the newest in its map. */
  movedAt: number;
}

// As in text-cache.ts.
const MOVE_MS = 1_000;

// The texts of a program are few and short. In PostgreSQL's memory a long list of constants, parsed and planned, weighs
// a hundred times what it does as a text: what one connection keeps is to stay below 32 MiB.
const MAX_PREPARED = 224;
const MAX_CHARACTERS = 256 * 1024;
const MAX_TEXT_CHARACTERS = 16 * 1024;
// PostgreSQL keeps the types that it inferred for the parameters, also where a migration has changed those of the
// columns since.
const BELIEVED_MS = 60_000;

/** Which texts are prepared on one connection, and under which names: callers', as many as fit, and our own. */
export class PreparedStatements {
  readonly #own: OwnStatements;
  readonly #ownPrepared = new Set<string>();
  readonly #byText = new Map<string, Prepared>();
  #closing: string[] = [];
  #characters = 0;
  #count = 0;

  constructor(own: OwnStatements) {
    this.#own = own;
  }

  own(text: string): OwnStatement & { readonly isPrepared: boolean } {
    const statement = this.#own.of(text);
    return { ...statement, isPrepared: this.#ownPrepared.has(text) };
  }

  /** Whether all of these texts of our own are prepared. */
  hasOwn(texts: readonly string[]): boolean {
    return texts.every((text) => this.#ownPrepared.has(text));
  }

  /** To be called when PostgreSQL has said that it is prepared, not before. */
  addOwn(text: string): void {
    this.#ownPrepared.add(text);
  }

  /** Whether a caller's text is worth keeping. */
  keeps(text: string): boolean {
    return text.length <= MAX_TEXT_CHARACTERS;
  }

  /** Under which name a caller's text is prepared that is still what is believed of it. */
  nameOf(text: string, believed: Description): string | undefined {
    const found = this.#byText.get(text);
    const now = Date.now();
    if (found === undefined || now - found.at > BELIEVED_MS) return undefined;
    if (!sameDescription(found.description, believed)) return undefined;
    if (now - found.movedAt >= MOVE_MS) {
      found.movedAt = now;
      this.#byText.delete(text);
      this.#byText.set(text, found);
    }
    return found.name;
  }

  /** A name that nothing has yet. */
  newName(text: string): string {
    this.#count += 1;
    return nameOf("caller", this.#count, text);
  }

  /** To be called when PostgreSQL has said that it is prepared, not before. */
  add(text: string, name: string, description: Description): void {
    this.#forget(text);
    const now = Date.now();
    this.#byText.set(text, { name, description, at: now, movedAt: now });
    this.#characters += text.length;
    for (const [oldest] of this.#byText) {
      if (this.#byText.size <= MAX_PREPARED && this.#characters <= MAX_CHARACTERS) break;
      this.#forget(oldest);
    }
  }

  /** Of no use to anybody: to be closed with the next flush. */
  discard(name: string): void {
    this.#closing.push(name);
  }

  forgetAll(): void {
    for (const text of this.#byText.keys()) this.#forget(text);
    for (const text of this.#ownPrepared) this.discard(this.#own.of(text).name);
    this.#ownPrepared.clear();
  }

  /** The names that have to be closed, once. */
  takeClosing(): readonly string[] {
    if (this.#closing.length === 0) return NONE;
    const names = this.#closing;
    this.#closing = [];
    return names;
  }

  #forget(text: string): void {
    const found = this.#byText.get(text);
    if (found === undefined) return;
    this.#closing.push(found.name);
    this.#characters -= text.length;
    this.#byText.delete(text);
  }
}

const NONE: readonly string[] = [];
