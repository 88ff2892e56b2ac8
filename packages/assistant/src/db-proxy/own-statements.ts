import { serialize } from "pg-protocol";

const NAME_CHARACTERS = 40;

/** A statement of our own, with the name under which it is prepared on every connection. */
export interface OwnStatement {
  readonly name: string;
  /** What runs it, where it takes no values: the same each time. */
  readonly running: Buffer;
}

/** What the name of a prepared statement begins with: whose it is. Behind it, for whoever reads a log, its text. */
export function nameOf(whose: "tandem" | "caller", number: number, text: string): string {
  return `${whose}_${number} ${text.slice(0, NAME_CHARACTERS).replaceAll(/[^\w .]+/g, " ")}`;
}

/** The statements of our own, which are few: their names are the same on all connections, and given once. */
export class OwnStatements {
  readonly #byText = new Map<string, OwnStatement>();
  readonly #together = new Map<readonly string[], Buffer>();

  of(text: string): OwnStatement {
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const name = nameOf("tandem", this.#byText.size + 1, text);
    const running = Buffer.concat([serialize.bind({ statement: name }), serialize.execute()]);
    const statement = { name, running };
    this.#byText.set(text, statement);
    return statement;
  }

  /** What runs several of them that take no values, one after the other: made once for each list. */
  running(texts: readonly string[]): Buffer {
    const known = this.#together.get(texts);
    if (known !== undefined) return known;
    const running = Buffer.concat(texts.map((text) => this.of(text).running));
    this.#together.set(texts, running);
    return running;
  }
}
