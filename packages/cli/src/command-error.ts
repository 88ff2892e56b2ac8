/** A command can't do what it was asked to. The message is a sentence for the person who ran it. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}
