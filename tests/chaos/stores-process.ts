// Writes through a Database until its input ends, and then says what it was told: node stores-process.ts URL SEED
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { createDatabase, type Transaction, translateDatabaseError } from "@tandem/postgres";
import { createRandom } from "@tandem/testkit/random";
import type { StoresReport } from "./stores-report.ts";
import type { End } from "./terminations.ts";

class GivenUp extends Error {}

const CALLERS = 12;

const [url = "", seed = ""] = process.argv.slice(2);
const random = createRandom(Number(seed));
const database = createDatabase({
  url,
  applicationName: "stores",
  // Fewer than there are callers, so that some always wait.
  poolSize: 6,
  statementTimeoutMs: 1_000,
  transactionTimeoutMs: 2_000,
  answerMarginMs: 500,
});

const ends = new Map<string, End>();
const unexpected: string[] = [];
let hit = 0;
const stopping = new AbortController();
let longestMs = 0;
let lastCommit = performance.now();
let longestOutageMs = 0;

process.stdin.resume().once("end", () => stopping.abort());
process.stdout.write("begun\n");
await Promise.all(Array.from({ length: CALLERS }, callAgainAndAgain));
longestOutageMs = Math.max(longestOutageMs, performance.now() - lastCommit);
await database.close();
const report: StoresReport = { ends: [...ends], hit, longestMs, longestOutageMs, unexpected };
process.stdout.write(`${JSON.stringify(report)}\n`);

async function callAgainAndAgain(): Promise<void> {
  while (!stopping.signal.aborted) {
    const id = randomUUID();
    const started = performance.now();
    ends.set(id, await call(id));
    longestMs = Math.max(longestMs, performance.now() - started);
  }
}

async function call(id: string): Promise<End> {
  const kind = random();
  try {
    if (kind < 0.2) await writeAtOnce(id);
    else await database.transaction((tx) => writeHalves(tx, id, kind > 0.8));
  } catch (error) {
    if (error instanceof GivenUp) return "denied";
    return endOf(translateDatabaseError(error, { during: "commit" }));
  }
  longestOutageMs = Math.max(longestOutageMs, performance.now() - lastCommit);
  lastCommit = performance.now();
  return "committed";
}

/** A statement that commits by itself. */
async function writeAtOnce(id: string): Promise<void> {
  await database.sql`INSERT INTO halves (id, half) VALUES (${id}, 1), (${id}, 2)`;
}

async function writeHalves(tx: Transaction, id: string, givesUp: boolean): Promise<void> {
  await tx.sql`INSERT INTO halves (id, half) VALUES (${id}, 1)`;
  if (random() < 0.5) await delay(random() * 3);
  if (givesUp) throw new GivenUp();
  await tx.run({ text: "INSERT INTO halves (id, half) VALUES ($1, 2)", values: [id] });
  if (random() < 0.5) await delay(random() * 3);
}

function endOf({ outcome, reason, message }: ReturnType<typeof translateDatabaseError>): End {
  if (reason === "DATABASE_UNAVAILABLE" || reason === "COMMIT_OUTCOME_UNKNOWN") hit += 1;
  else unexpected.push(`${reason}: ${message}`);
  return outcome === "NOT_COMMITTED" ? "denied" : "unknown";
}
