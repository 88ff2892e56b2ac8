import { describe, expect, it } from "vitest";
import { SettingError, Settings } from "./settings.ts";

describe("settings", () => {
  it("gives what is set, and the default of what isn't or is empty", () => {
    const settings = new Settings({ A: "x", B: "" });
    expect(settings.text("A", "y")).toBe("x");
    expect(settings.text("B", "y")).toBe("y");
    expect(settings.integer("C", { byDefault: 5, min: 0, max: 9 })).toBe(5);
    expect(settings.flag("D")).toBe(false);
    expect(settings.choice("E", ["info", "debug"], "info")).toBe("info");
  });

  it.each([
    ["text", () => new Settings({}).text("X"), "X is not set."],
    ["integer", () => integer("12a"), "X must be a whole number from 1 to 10."],
    ["integer", () => integer("11"), "X must be a whole number from 1 to 10."],
    ["flag", () => new Settings({ X: "yes" }).flag("X"), "X must be true or false."],
    ["choice", () => new Settings({ X: "b" }).choice("X", ["a"], "a"), "X must be one of a."],
    ["checked", () => new Settings({ X: "y" }).checked("X", refuse), "X: it can't be read"],
    ["address", () => new Settings({ X: "7402" }).address("X"), "X must look like HOST:PORT"],
    ["address", () => new Settings({ X: "a:99999" }).address("X"), "X must look like HOST:PORT"],
  ])("names the variable and what it must be: %s", (_, read, message) => {
    expect(read).toThrow(SettingError);
    expect(read).toThrow(message);
  });

  it.each(["127.0.0.1:0", "assistant:7402", "[::1]:7402"])("takes the address %s", (address) => {
    expect(new Settings({ X: address }).address("X")).toBe(address);
  });

  it("never repeats a value, which may be a secret", () => {
    expect(() => new Settings({ X: "hunter2" }).address("X")).not.toThrow("hunter2");
    expect(() => new Settings({ X: "hunter2" }).choice("X", ["a"], "a")).not.toThrow("hunter2");
  });
});

function refuse(): never {
  throw new Error("it can't be read");
}

function integer(value: string): number {
  return new Settings({ X: value }).integer("X", { byDefault: 5, min: 1, max: 10 });
}
