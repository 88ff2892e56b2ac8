import { setTimeout as delay } from "node:timers/promises";
import { waitFor } from "@tandem/testkit";
import { createRandom } from "@tandem/testkit/random";
import { expect, it } from "vitest";
import { type Changes, openChanges } from "./changes.ts";
import { readMirrorConfig } from "./config.ts";
import { type CrashRig, createCrashRig, parts, type Side } from "./crash-rig.ts";

const { seed, rounds, changes: changesOfRound } = readMirrorConfig();
const CLIENTS = 6;
const sides = ["assistant", "gateway"] as const;

it.each(sides)(
  `loses, doubles and turns back nothing that the %s decides, in ${rounds} rounds of ${changesOfRound} changes ` +
    `with kill -9 of both services and PostgreSQL (TANDEM_MIRROR_SEED=${seed})`,
  async (decides) => {
    await using rig = await createCrashRig();
    for (const side of sides) {
      await rig.sql(side, `UPDATE tandem.authority SET authority = '${decides}'`);
      await rig.sql(side, WATCH_VERSIONS(side));
    }
    await using changes = await openChanges(rig, decides);
    const random = createRandom(seed);
    for (let round = 1; round <= rounds; round += 1) {
      await makeRound(rig, changes, random).catch((error: unknown) => {
        throw new Error(`A change or a kill failed.\n${rig.complaints()}`, { cause: error });
      });
      await converged(rig, decides);
      const equal = await compare(rig);
      await judge(rig, changes);
      process.stderr.write(
        `mirror: the ${decides} decides, round ${round}: ${equal} rows are equal; ${changes.ledger.invites.size} invites ` +
          `told of are there; answered with ${JSON.stringify(Object.fromEntries(changes.ledger.failures))}\n`,
      );
    }
  },
  90_000 + rounds * (30_000 + changesOfRound * 60),
);

/** Makes changes, and kills each part once meanwhile, in any order. */
async function makeRound(rig: CrashRig, changes: Changes, random: () => number): Promise<void> {
  const progress = { begun: 0, killing: true };
  const kills = (async (): Promise<void> => {
    const order = parts.map((part) => ({ part, rank: random() })).toSorted((a, b) => a.rank - b.rank);
    for (const [index, { part }] of order.entries()) {
      const due = ((index + 1) / (order.length + 1)) * changesOfRound;
      while (progress.begun < due) await delay(5);
      await delay(random() * 100);
      await rig.kill(part);
    }
  })().finally(() => {
    progress.killing = false;
  });
  const client = async (): Promise<void> => {
    while (progress.begun < changesOfRound || progress.killing) {
      progress.begun += 1;
      await changes.make(random);
      // While something is killed there are only some more.
      if (progress.begun >= changesOfRound) await delay(50);
    }
  };
  await Promise.all([kills, ...Array.from({ length: CLIENTS }, client)]);
}

async function converged(rig: CrashRig, decides: Side): Promise<void> {
  const isEmpty = async (): Promise<boolean> =>
    (await rig.sql(decides, "SELECT FROM tandem.outbox LIMIT 1")).length === 0;
  await waitFor(isEmpty, { describe: "the outbox to be empty", timeoutMs: 60_000, pollMs: 50 }).catch(
    async (error: unknown) => {
      const left = await rig.sql(decides, "SELECT * FROM tandem.outbox LIMIT 5");
      throw new Error(`${JSON.stringify(left)} is left.\n${rig.complaints()}`, { cause: error });
    },
  );
}

const invitesOf = { assistant: "assistant_ingress_invites", gateway: "ingress_invites" } as const;

/** Fails unless both hold the same; says how many rows. */
async function compare(rig: CrashRig): Promise<number> {
  let equal = 0;
  for (const table of ["contacts", "contact_channels", "invites"] as const) {
    const [ours, theirs] = await Promise.all(
      sides.map(async (side) => {
        const name = table === "invites" ? invitesOf[side] : table;
        const rows = await rig.sql(side, `SELECT to_jsonb(t)::text AS row FROM ${name} t`);
        return new Set(rows.map(({ row }) => String(row)));
      }),
    );
    expect([...(ours?.symmetricDifference(theirs ?? new Set()) ?? [])].toSorted(), table).toEqual([]);
    equal += ours?.size ?? 0;
  }
  return equal;
}

/** Holds what both have against what callers were told. */
async function judge(rig: CrashRig, { ledger }: Changes): Promise<void> {
  for (const side of sides) {
    const rows = await rig.sql(
      side,
      `SELECT id, version::text, note FROM ${invitesOf[side]} UNION ALL SELECT id, version::text, NULL FROM contacts`,
    );
    const byNote = Map.groupBy(rows, ({ note }) => String(note));
    const lost = [...ledger.invites].filter(([note, id]) => byNote.get(note)?.[0]?.["id"] !== id);
    expect(lost, "told of and lost").toEqual([]);
    const doubled = [...byNote].filter(([note, all]) => note !== "null" && all.length > 1);
    expect(doubled, "created twice").toEqual([]);
    expect(
      [...ledger.refused].filter((note) => byNote.has(note)),
      "refused and there",
    ).toEqual([]);
    const back = rows.filter(
      ({ id, version }) => BigInt(String(version)) < (ledger.versions.get(String(id)) ?? 0n),
    );
    expect(back, "older than somebody was told").toEqual([]);
    expect(await rig.sql(side, "SELECT * FROM went_back"), "versions that did not grow").toEqual([]);
  }
}

/** Records every row that is written over by a version that is not newer. */
const WATCH_VERSIONS = (side: Side): string => `
  CREATE TABLE went_back (name text, id uuid, before bigint, after bigint);
  CREATE FUNCTION watch_version() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
  BEGIN
    INSERT INTO public.went_back VALUES (TG_TABLE_NAME, NEW.id, OLD.version, NEW.version);
    RETURN NULL;
  END $$;
  ${["contacts", "contact_channels", invitesOf[side]]
    .map(
      (table) => `
        CREATE TRIGGER watch_version AFTER UPDATE ON ${table} FOR EACH ROW WHEN (NEW.version <= OLD.version)
        EXECUTE FUNCTION watch_version();`,
    )
    .join("")}`;
