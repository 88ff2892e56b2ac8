/** A setting that is missing or can't be what it says. Its message is for the person who set it. */
export class SettingError extends Error {
  override readonly name = "SettingError";
}

/**
 * Reads a process's settings from its environment. Every getter either gives a usable value or throws a
 * SettingError that names the variable and what it must be. Values are never repeated in a message: one
 * of them may be a secret.
 */
export class Settings {
  readonly #environment: Readonly<Record<string, string | undefined>>;

  constructor(environment: Readonly<Record<string, string | undefined>>) {
    this.#environment = environment;
  }

  text(name: string, byDefault?: string): string {
    const value = this.optional(name) ?? byDefault;
    if (value !== undefined) return value;
    throw new SettingError(`${name} is not set.`);
  }

  /** What is empty counts as not set. */
  optional(name: string): string | undefined {
    const value = this.#environment[name];
    return value === "" ? undefined : value;
  }

  /** A text that must satisfy `check`, which throws an error that says, without the value, what is wrong. */
  checked(name: string, check: (value: string) => unknown): string {
    const value = this.text(name);
    try {
      check(value);
      return value;
    } catch (cause) {
      throw new SettingError(`${name}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
  }

  /** `host:port` */
  address(name: string, byDefault?: string): string {
    const value = this.text(name, byDefault);
    const port = Number(/^(?:\[[\da-f:.]+\]|[^\s:[\]/]+):(\d{1,5})$/i.exec(value)?.[1] ?? NaN);
    if (port <= 65_535) return value;
    throw new SettingError(`${name} must look like HOST:PORT, for example ${byDefault ?? "127.0.0.1:7402"}.`);
  }

  integer(
    name: string,
    limits: { readonly byDefault: number; readonly min: number; readonly max: number },
  ): number {
    const { byDefault, min, max } = limits;
    const text = this.text(name, String(byDefault));
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new SettingError(`${name} must be a whole number from ${min} to ${max}.`);
  }

  flag(name: string): boolean {
    const text = this.text(name, "false");
    if (text === "true" || text === "false") return text === "true";
    throw new SettingError(`${name} must be true or false.`);
  }

  choice<const T extends string>(name: string, choices: readonly T[], byDefault: NoInfer<T>): T {
    const text = this.text(name, byDefault);
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    throw new SettingError(`${name} must be one of ${choices.join(", ")}.`);
  }
}
