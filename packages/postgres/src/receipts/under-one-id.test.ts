import { HandlerError } from "@tandem/rpc";
import { describe, expect, it } from "vitest";
import { stateUnderOneId, underOneId } from "./under-one-id.ts";

const id = "0198e5a0-1234-7abc-8def-0123456789ab";

/** A write under ids of which so many are spent; `ids` are those that it was tried under. */
function spent(count: number) {
  const ids: string[] = [];
  return {
    ids,
    write: async (requestId = ""): Promise<string> => {
      ids.push(requestId);
      if (ids.length > count) return requestId;
      throw new HandlerError({ reason: "REQUEST_REFUSED", message: "It is spent." });
    },
  };
}

describe("a write", () => {
  it("goes on under the next id of its row where one is spent, each time through the same row", async () => {
    const [first, second] = [spent(3), spent(3)];
    const written = await underOneId(id, first.write);
    expect(await underOneId(id, second.write)).toBe(written);
    expect(first.ids).toEqual(second.ids);
    expect(first.ids[0]).toBe(id);
    expect(new Set(first.ids).size).toBe(4);
    for (const each of first.ids) {
      expect(each).toMatch(/^0198e5a0-1234-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });

  it("is given up where eight are", async () => {
    const { write, ids } = spent(8);
    await expect(underOneId(id, write)).rejects.toMatchObject({ reason: "REQUEST_REFUSED" });
    expect(ids).toHaveLength(8);
  });

  it("that fails otherwise fails at once", async () => {
    await expect(underOneId(id, () => Promise.reject(new RangeError("no")))).rejects.toThrow("no");
  });

  it("without an id is tried once", async () => {
    const { write, ids } = spent(1);
    await expect(underOneId(undefined, write)).rejects.toMatchObject({ reason: "REQUEST_REFUSED" });
    expect(ids).toHaveLength(1);
  });
});

describe("what a write has come to", () => {
  it("is what the id says under which it would be tried", async () => {
    const { write, ids } = spent(2);
    const tried = await underOneId(id, write);
    const stateOf = async (each: string) => (each === tried ? "committed" : "refused");
    expect(await stateUnderOneId(id, stateOf)).toBe("committed");
    expect(await stateUnderOneId(id, async (each) => (each === ids[1] ? "not found" : "refused"))).toBe(
      "not found",
    );
  });

  it("is that it is refused where all of them are", async () => {
    expect(await stateUnderOneId(id, async () => "refused")).toBe("refused");
  });
});
