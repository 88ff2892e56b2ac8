import { readdir } from "node:fs/promises";
import { OptionError } from "./options.ts";
import type { Row } from "./row.ts";

/** A row under its name, SET/NAME. */
export interface NamedRow {
  readonly name: string;
  readonly set: string;
  readonly row: Row;
}

const folder = new URL("../rows/", import.meta.url);

/**
 * All rows, or those that are selected by their names or their sets', in the order in which they are to be read.
 *
 * @throws OptionError where nothing is called that
 */
export async function findRows(selected: readonly string[] | undefined): Promise<readonly NamedRow[]> {
  const names = await rowNames();
  const sets = new Set(names.map(setOf));
  for (const each of selected ?? []) {
    if (names.includes(each) || sets.has(each)) continue;
    const known = `The sets are ${[...sets].join(", ")}; --list shows the rows.`;
    throw new OptionError(`There is no row and no set of rows called ${each}. ${known}`);
  }
  const wanted = names.filter(
    (name) => selected?.some((each) => each === name || each === setOf(name)) ?? true,
  );
  return Promise.all(wanted.map(async (name) => ({ name, set: setOf(name), row: await loadRow(name) })));
}

/** The row of a name that is there. */
export async function loadRow(name: string): Promise<Row> {
  const { row } = (await import(new URL(`${name}.ts`, folder).href)) as { row: Row };
  return row;
}

async function rowNames(): Promise<readonly string[]> {
  const files = await readdir(folder, { recursive: true });
  const names = files.filter((file) => file.endsWith(".ts")).map((file) => file.slice(0, -".ts".length));
  return names.toSorted(inReadingOrder);
}

function setOf(name: string): string {
  return name.slice(0, name.indexOf("/"));
}

// What a reader starts from stands above what follows from it.
const setsFirst = ["start", "probe", "pair", "policy", "tpcb"];
const waysFirst = ["postgres", "pg", "pgbench", "tandem", "without", "none", "create-postgres"];

function inReadingOrder(a: string, b: string): number {
  const [setA = "", wayA = ""] = a.split("/");
  const [setB = "", wayB = ""] = b.split("/");
  return by(setsFirst, setA, setB) || by(waysFirst, wayA, wayB);
}

function by(first: readonly string[], a: string, b: string): number {
  const place = (name: string): number => (first.includes(name) ? first.indexOf(name) : first.length);
  return place(a) - place(b) || a.localeCompare(b, "en", { numeric: true });
}
