// The thread of statement-parser.ts: PostgreSQL's own parser, as WASM.
import { setFlagsFromString } from "node:v8";
import { parentPort } from "node:worker_threads";
import { type ReadAccess, readAccess } from "./policy/read-access.ts";

// V8 would compile the parser a second time, for speed, once it is warm: that takes half a gigabyte of memory for a
// moment, and makes it no faster. It has to hear of it before the module is there.
for (const flag of ["--no-wasm-tier-up", "--no-wasm-dynamic-tiering"]) setFlagsFromString(flag);
const { hasSqlDetails, loadModule, parseSync } = await import("libpg-query");

// The parser begins with 128 MiB. A text that needs more makes a tree out of all proportion to itself, as an assignment
// of 1,000 columns at once does, which the tree holds 1,000 times over: it is refused, before it has it all.
const { Memory } = (globalThis as unknown as { readonly WebAssembly: WasmNamespace }).WebAssembly;
Memory.prototype.grow = () => {
  throw new RangeError("The parser gets no more memory than it began with.");
};

// Node's types have it with the browser's alone.
interface WasmNamespace {
  readonly Memory: { readonly prototype: { grow: () => number } };
}

/** What a text is. */
export type Parsed =
  | {
      readonly statements: number;
      /** The node that the first statement's tree begins with: "SelectStmt". */
      readonly kind: string;
      /** It names a table of the schema `tandem`. */
      readonly usesOwnTables: boolean;
      /** What the first statement touches, for a policy to judge. */
      readonly access: ReadAccess;
    }
  | { readonly refused: string };

/** The answer to one text. */
export interface ParserAnswer {
  readonly parsed: Parsed;
  /** The parser stopped in the middle of its work: nothing more may be given to it. */
  readonly spent: boolean;
  /** How many characters its tree has, written down: memory goes with them. */
  readonly treeLength: number;
  /** What this thread has had of the processor since it began. */
  readonly cpuMs: number;
}

// It was its stack or its memory that was full: for a mistake in the text it has words of its own.
const TOO_LARGE: Parsed = {
  refused: "The statement is too large or too deeply nested to be judged: send it in parts.",
};

if (parentPort !== null) {
  const port = parentPort;
  await loadModule();
  port.on("message", (sql: string) => port.postMessage({ ...answer(sql), cpuMs: cpuMs() }));
  port.postMessage("ready");
}

function answer(sql: string): Omit<ParserAnswer, "cpuMs"> {
  try {
    const { stmts = [] } = parseSync(sql) as { readonly stmts?: readonly { readonly stmt?: object }[] };
    const kind = Object.keys(stmts[0]?.stmt ?? {})[0] ?? "";
    // Within a literal of the caller's the quotes would stand behind backslashes.
    const tree = JSON.stringify(stmts);
    const usesOwnTables = tree.includes('"schemaname":"tandem"');
    const access = readAccess(stmts[0]?.stmt);
    const parsed = { statements: stmts.length, kind, usesOwnTables, access };
    return { parsed, spent: false, treeLength: tree.length };
  } catch (error) {
    // Anything but its own verdict, a stack or a memory that is full, has left it in the middle of its work.
    if (!hasSqlDetails(error)) return { parsed: TOO_LARGE, spent: true, treeLength: 0 };
    // The parser quotes the text, which is the caller's own; there are no values in it but literals.
    return { parsed: { refused: error.sqlDetails?.message ?? error.message }, spent: false, treeLength: 0 };
  }
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
