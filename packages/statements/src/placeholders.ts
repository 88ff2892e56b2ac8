// As PostgreSQL reads a text: what stands in quotes or a comment is no placeholder, nor is the end of a name.
// https://www.postgresql.org/docs/current/sql-syntax-lexical.html
const TOKEN = new RegExp(
  [
    /[eE]'(?:[^'\\]|\\.|'')*'/,
    /'(?:[^']|'')*'/,
    /"(?:[^"]|"")*"/,
    /--[^\n\r]*/,
    /\/\*.*?\*\//,
    /\$(?<tag>(?:[A-Za-z_\u{80}-\u{10ffff}][\w\u{80}-\u{10ffff}]*)?)\$.*?\$\k<tag>\$/u,
    /[A-Za-z_\u{80}-\u{10ffff}][\w$\u{80}-\u{10ffff}]*/u,
    /\$(?<number>\d+)/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "gsu",
);

/**
 * The numbers of the `$1`, `$2`, … in a text. Of a text that PostgreSQL can't read, or one with comments inside
 * comments, it may say anything: the owner's start asks PostgreSQL.
 */
export function placeholdersOf(sql: string): ReadonlySet<number> {
  const numbers = Array.from(sql.matchAll(TOKEN), ({ groups }) => groups?.["number"]);
  return new Set(numbers.filter((number) => number !== undefined).map(Number));
}
