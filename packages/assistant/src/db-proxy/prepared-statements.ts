import { type Description, sameDescription } from "./description.ts";
import { createTextCache } from "./text-cache.ts";
import { nameOf, type OwnStatement, type OwnStatements } from "./own-statements.ts";

interface Prepared {
  readonly name: string;
  readonly description: Description;
  readonly at: number;
}

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
  readonly #callers = createTextCache<Prepared>({
    maxTexts: MAX_PREPARED,
    maxCharacters: MAX_CHARACTERS,
    weigh: () => 0,
    onDropped: ({ name }) => this.discard(name),
  });
  #closing: string[] = [];
  #count = 0;

  constructor(own: OwnStatements) {
    this.#own = own;
  }

  /** One of our own, whether it is prepared or not. */
  own(text: string): OwnStatement {
    return this.#own.of(text);
  }

  isPrepared(own: string): boolean {
    return this.#ownPrepared.has(own);
  }

  /** What runs these of our own, which take no values; undefined where they are not all prepared. */
  runningOwn(texts: readonly string[]): Buffer | undefined {
    return texts.every((text) => this.#ownPrepared.has(text)) ? this.#own.running(texts) : undefined;
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
    const found = this.#callers.get(text);
    if (found === undefined || Date.now() - found.at > BELIEVED_MS) return undefined;
    return sameDescription(found.description, believed) ? found.name : undefined;
  }

  /** A name that nothing has yet. */
  newName(text: string): string {
    this.#count += 1;
    return nameOf("caller", this.#count, text);
  }

  /** To be called when PostgreSQL has said that it is prepared, not before. */
  add(text: string, name: string, description: Description): void {
    this.#callers.set(text, { name, description, at: Date.now() });
  }

  /** Of no use to anybody: to be closed with the next flush. */
  discard(name: string): void {
    this.#closing.push(name);
  }

  forgetAll(): void {
    this.#callers.clear();
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
}

const NONE: readonly string[] = [];
