import { Invites } from "@tandem/contract/tandem/gateway/v1/invites";
import { createChannel, createClient } from "@tandem/rpc";
import { waitFor } from "@tandem/testkit/wait-for";
import postgres from "postgres";
import type { Measured, ProgramRow } from "../row.ts";
import type { Side } from "../service/service-spec.ts";
import { fillPair, inviteTables } from "./fill-pair.ts";
import { pairOf } from "./pair-place.ts";

// It is a tenth of the rows that are compared.
const PART = 10;
const CONTACTS = 100;
// A relay that is slower than this stands still.
const MIN_PER_SECOND = 50;
const POLL_MS = 10;

/**
 * Commits invites in one transaction on the side that decides, so that its relay finds all of them at once, and waits until
 * the other side has them. Both latencies are the time that this takes.
 */
export function bringBacklog(from: Side): Pick<ProgramRow, "kind" | "service" | "concurrency" | "interval"> {
  const to: Side = from === "assistant" ? "gateway" : "assistant";
  return {
    kind: "program",
    service: { decides: from },
    concurrency: [1],
    interval: async (place, _interval, begins): Promise<Measured> => {
      const { address, databases } = pairOf(place);
      const rows = Math.ceil(place.mirrorRows / PART);
      const filled = await fillPair(databases, CONTACTS);
      const contactIds = filled.map(({ contactId }) => contactId);
      await using parts = new AsyncDisposableStack();
      const open = (side: Side) =>
        parts.adopt(postgres(databases[side], { max: 1, onnotice: () => undefined }), (sql) =>
          sql.end({ timeout: 1 }),
        );
      const [here, there] = [open(from), open(to)];
      const channel = parts.adopt(createChannel({ address }), (opened) => opened.close());
      await here.begin(async (sql) => {
        await sql`
          INSERT INTO ${sql(inviteTables[from])} (id, contact_id, source_channel, key_id, token_hash, invite_code_hash, note, expires_at)
          SELECT id, (${contactIds}::uuid[])[1 + i % ${CONTACTS}], 'backlog', 'bench', sha256(uuid_send(id)), sha256(uuid_send(id)),
            'of the bench', now() + interval '1 day'
          FROM (SELECT i, gen_random_uuid() AS id FROM generate_series(1, ${rows}::int4) AS i) AS made`;
        // It has never been so long before, and is looked at at once.
        await sql`ANALYZE tandem.outbox`;
        await begins();
      });
      const started = performance.now();
      // Whoever commits wakes the relay, but for who isn't the service itself: for this it would look within a second.
      const [contactId = ""] = contactIds;
      const newest = { contactId, sourceChannel: "backlog" };
      const { invite } = await createClient(Invites, channel).createInvite({ invite: newest });
      // It comes last. To look for any that is left would cost more than to bring some: the table is full of dead rows.
      const bound = {
        timeoutMs: 30_000 + (rows * 1_000) / MIN_PER_SECOND,
        pollMs: POLL_MS,
        describe: `${rows} rows to be brought to the ${to}`,
      };
      const id = invite?.id ?? "";
      await waitFor(
        async () =>
          (await here`SELECT FROM tandem.outbox WHERE aggregate = 'invite' AND id = ${id}`).count === 0,
        bound,
      );
      await waitFor(async () => (await here`SELECT FROM tandem.outbox LIMIT 1`).count === 0, bound);
      const elapsedMs = performance.now() - started;
      const completed = rows + 1;
      const [held] = await there`
        SELECT count(*)::int AS rows FROM ${there(inviteTables[to])}
        WHERE contact_id = ANY (${contactIds}::uuid[]) AND source_channel = 'backlog'`;
      if (held?.["rows"] !== completed)
        throw new Error(`The ${to} has ${held?.["rows"]} of ${completed} invites.`);
      return { completed, elapsedMs, p50Ms: elapsedMs, p99Ms: elapsedMs, cpuMs: {} };
    },
  };
}
