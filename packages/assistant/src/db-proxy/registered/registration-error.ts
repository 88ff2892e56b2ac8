/** Registered statements that can't be used: each problem is a sentence that names the statement. */
export class RegistrationError extends Error {
  override readonly name = "RegistrationError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`The registered statements can't be used:\n${problems.map((each) => `  ${each}`).join("\n")}`);
    this.problems = problems;
  }
}
