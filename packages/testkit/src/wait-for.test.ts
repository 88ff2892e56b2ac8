import { expect, test } from "vitest";
import { waitFor } from "./wait-for.ts";

test("gives what the condition gives as soon as that is truthy", async () => {
  let calls = 0;
  const found = await waitFor(() => (++calls === 3 ? "third" : undefined), {
    describe: "a third call",
    pollMs: 1,
  });
  expect(found).toBe("third");
  expect(calls).toBe(3);
});

test("takes a condition that throws for one that is not met yet", async () => {
  let calls = 0;
  const attempt = (): boolean => {
    if (++calls < 3) throw new Error("not up");
    return true;
  };
  await waitFor(attempt, { describe: "it to come up", pollMs: 1 });
  expect(calls).toBe(3);
});

test("fails with a sentence that says what it waited for and why the last attempt failed", async () => {
  await expect(
    waitFor(() => Promise.reject(new Error("not up")), {
      describe: "it to come up",
      timeoutMs: 20,
      pollMs: 1,
    }),
  ).rejects.toThrow("Waited 0.02 s for it to come up. The last attempt failed: not up");
});
