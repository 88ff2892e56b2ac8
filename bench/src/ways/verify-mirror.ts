import { Cutover } from "@tandem/contract/tandem/gateway/v1/cutover";
import { createChannel, createClient } from "@tandem/rpc";
import postgres from "postgres";
import type { Interval, Measured, ProgramPlace } from "../row.ts";
import { fillPair, inviteTables } from "./fill-pair.ts";
import { pairOf } from "./pair-place.ts";

const MILLION = 1_000_000;
const VERIFY_MS = 10 * 60_000;

/**
 * Cutover.VerifyMirror over two databases that are the same, half of it contacts and half invites. Both latencies are the
 * time that a million rows would take.
 */
export async function verifyMirror(
  place: ProgramPlace,
  _interval: Interval,
  begins: () => Promise<void>,
): Promise<Measured> {
  const { address, databases } = pairOf(place);
  const lacking = place.mirrorRows - (await countRows(databases.assistant));
  if (lacking > 0) await fillPair(databases, Math.ceil(lacking / 2));
  const rows = await countRows(databases.assistant);
  using channel = new DisposableStack();
  const cutover = createClient(
    Cutover,
    channel.adopt(createChannel({ address }), (opened) => opened.close()),
  );
  await begins();
  const started = performance.now();
  let compared: number | undefined;
  for await (const { event } of cutover.verifyMirror({}, { timeoutMs: VERIFY_MS })) {
    if (event.case === "finding") throw new Error("Two databases that are the same were found to differ.");
    if (event.case === "summary") compared = Number(event.value.compared);
  }
  const elapsedMs = performance.now() - started;
  if (compared !== rows) throw new Error(`Of ${rows} rows ${compared ?? "none"} were compared.`);
  const millionMs = (elapsedMs * MILLION) / rows;
  return { completed: rows, elapsedMs, p50Ms: millionMs, p99Ms: millionMs, cpuMs: {} };
}

/** Of the assistant's database. */
async function countRows(url: string): Promise<number> {
  const sql = postgres(url, { max: 1 });
  try {
    const [row] = await sql`
      SELECT (SELECT count(*) FROM contacts)::int + (SELECT count(*) FROM ${sql(inviteTables.assistant)})::int AS rows`;
    return Number(row?.["rows"]);
  } finally {
    await sql.end({ timeout: 1 });
  }
}
