import { HandlerError, type HandlerErrorOptions } from "@tandem/rpc";
import { describe, expect, it } from "vitest";
import { contactsLimits } from "./limits.ts";
import { writeGuarded } from "./write-guarded.ts";

const { signal } = new AbortController();
const unmet: HandlerErrorOptions = { reason: "GUARD_UNMET", message: "Nothing was changed." };
const conflict: HandlerErrorOptions = { reason: "DEADLOCK", message: "Gave way." };
const refusal = new HandlerError({ reason: "STALE_VERSION", message: "It has another version." });

/** Fails so often, and notes what was done. */
function failing(times: number, options: HandlerErrorOptions) {
  const done: string[] = [];
  const write = async (): Promise<string> => {
    done.push("write");
    if (done.filter((what) => what === "write").length <= times) throw new HandlerError(options);
    return "written";
  };
  const explain = (found?: HandlerError) => async (): Promise<HandlerError | undefined> => {
    done.push("explain");
    return found;
  };
  return { done, write, explain };
}

describe("a write whose guard is unmet", () => {
  it("fails with what stands in its way", async () => {
    const { done, write, explain } = failing(9, unmet);
    await expect(writeGuarded(write, { signal, explain: explain(refusal) })).rejects.toBe(refusal);
    expect(done).toEqual(["write", "explain"]);
  });

  it("is made again where nothing does any more", async () => {
    const { done, write, explain } = failing(1, unmet);
    expect(await writeGuarded(write, { signal, explain: explain() })).toBe("written");
    expect(done).toEqual(["write", "explain", "write"]);
  });

  it("is given up after a while, and may be sent again", async () => {
    const { done, write, explain } = failing(9, unmet);
    const given = writeGuarded(write, { signal, explain: explain() });
    await expect(given).rejects.toMatchObject({ reason: "SERIALIZATION_FAILURE", retryable: true });
    expect(done.filter((what) => what === "write")).toHaveLength(contactsLimits.maxAttempts);
  });
});

it("makes a write again that gave way to another", async () => {
  const { done, write, explain } = failing(2, conflict);
  expect(await writeGuarded(write, { signal, explain: explain(refusal) })).toBe("written");
  expect(done).toEqual(["write", "write", "write"]);
});

it.each<[string, HandlerErrorOptions]>([
  ["an outcome that isn't known", { ...unmet, outcome: "UNKNOWN" }],
  ["any other failure", { reason: "LOCK_TIMEOUT", message: "Waited." }],
  ["what isn't of a row", { reason: "UNIQUE_VIOLATION", message: "Belongs to another." }],
])("passes on %s", async (_, options) => {
  const { done, write, explain } = failing(9, options);
  const given = writeGuarded(write, { signal, explain: explain(refusal) });
  await expect(given).rejects.toMatchObject({ reason: options.reason });
  expect(done).toEqual(["write"]);
});
