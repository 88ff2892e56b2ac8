/**
 * Gives the text back where PostgreSQL can hold it.
 *
 * @throws RangeError where it has a NUL character, or half a surrogate pair, which has no form in UTF-8
 */
export function checkText(text: string, subject: string): string {
  if (text.includes("\0")) {
    throw new RangeError(`${subject} has a NUL character, which PostgreSQL's text can't hold.`);
  }
  if (!text.isWellFormed()) {
    throw new RangeError(`${subject} has half a surrogate pair, which is no character in UTF-8.`);
  }
  return text;
}
