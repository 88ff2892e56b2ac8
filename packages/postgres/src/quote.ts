const maxIdentifierBytes = 63;

/** A name as an identifier in SQL. Throws on a name that PostgreSQL would cut short or refuse. */
export function quoteIdentifier(name: string): string {
  const bytes = Buffer.byteLength(name);
  if (bytes === 0 || bytes > maxIdentifierBytes || name.includes("\0")) {
    throw new RangeError(`A name in PostgreSQL has 1 to ${maxIdentifierBytes} bytes, none of them zero.`);
  }
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as a literal in SQL, for the statements that take no bind values. */
export function quoteLiteral(text: string): string {
  if (text.includes("\0")) throw new RangeError("A text in PostgreSQL has no zero byte.");
  const quoted = `'${text.replaceAll("'", "''")}'`;
  // The E form reads the same whatever standard_conforming_strings is.
  return text.includes("\\") ? ` E${quoted.replaceAll("\\", "\\\\")}` : quoted;
}
