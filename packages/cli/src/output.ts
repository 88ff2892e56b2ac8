/** Where a command writes. What another program may read goes to `write`, everything else to `writeError`. */
export interface Output {
  readonly write: (text: string) => void;
  readonly writeError: (text: string) => void;
}

/** Rows as lines, their cells under one another. */
export function toTable(rows: readonly (readonly string[])[]): string {
  const widthOf = (column: number): number => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const toLine = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widthOf(column)))
      .join("  ")
      .trimEnd();
  return rows.map((row) => `${toLine(row)}\n`).join("");
}

/** A time as people write it, to the second. */
export function toText(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, "Z");
}
