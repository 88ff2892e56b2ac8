import { createDatabase } from "@tandem/postgres";
import { expect, it } from "vitest";
import type { Decider } from "./decider.ts";
import { createDeciding } from "./deciding.ts";

const { signal } = new AbortController();
const nobody: Decider = {
  side: "gateway",
  read: () => expect.fail("It is not known who decides."),
  hasCommitted: () => expect.fail("It is not known who decides."),
  write: () => expect.fail("It is not known who decides."),
};

it("says that the database can't be reached where it doesn't find out who decides", async () => {
  const database = createDatabase({ url: "postgres://app@127.0.0.1:1/nowhere", applicationName: "test" });
  const deciding = createDeciding({ database, own: nobody, assistant: nobody });
  const failed = { reason: "DATABASE_UNAVAILABLE", outcome: "NOT_COMMITTED", retryable: true };
  const patience = { deadline: undefined, signal };
  await expect(deciding.side()).rejects.toMatchObject(failed);
  await expect(deciding.decide(() => expect.fail("Nobody decides."), patience)).rejects.toMatchObject(failed);
  await database.close();
});
