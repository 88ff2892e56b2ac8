/** A table in Markdown whose columns also stand below each other in a terminal; the first column is text. */
export function toTable(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = head.map((title, at) =>
    Math.max(title.length, 3, ...lines.map((line) => line[at]?.length ?? 0)),
  );
  const toLine = (cells: readonly string[]): string =>
    `| ${widths.map((width, at) => pad(cells[at] ?? "", width, at)).join(" | ")} |`;
  const rule = `|${widths.map((width, at) => (at === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`;
  return [toLine(head), rule, ...lines.map(toLine)].join("\n");
}

function pad(text: string, width: number, at: number): string {
  return at === 0 ? text.padEnd(width) : text.padStart(width);
}

/** With three digits that count; a dash where there is nothing. */
export function toFigure(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  if (value >= 100) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : 2);
}

const MIB = 1024 * 1024;

export function toMib(bytes: number | undefined): string {
  return bytes === undefined ? "–" : (bytes / MIB).toFixed(0);
}
