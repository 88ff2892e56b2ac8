import { randomUUID } from "node:crypto";
import { newRequestId, sql, type Step } from "@tandem/dbproxy";
import type { Rig } from "./rig.ts";

const ACCOUNTS = 12;
const FUNDS = 1_000;
const NOBODY = ACCOUNTS + 1;

/** A transfer that somebody wants. */
export interface Transfer {
  /** Stands beside its effect. */
  readonly id: string;
  /** The request_id that the caller brings, which is the id as well; the client makes one where it is absent. */
  readonly requestId?: string;
  /** Whether a guard is unmet whenever it is tried. */
  readonly hopeless: boolean;
  readonly steps: readonly Step[];
}

/** What the books say when everything is over. */
export interface Books {
  /** How many effects each transfer has, by its id. */
  readonly effects: ReadonlyMap<string, number>;
  /** What the accounts hold together, and what they held at first. */
  readonly sum: number;
  readonly sumAtFirst: number;
  /** Accounts whose balance is not what the effects add up to. */
  readonly unbalanced: readonly unknown[];
}

/** An effect has a key of its own, so that nothing in the database keeps a transfer from having two. */
export async function openBank(rig: Rig): Promise<void> {
  await rig.define(`
    CREATE TABLE accounts (id int8 PRIMARY KEY, balance int8 NOT NULL);
    CREATE TABLE effects (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      transfer_id text NOT NULL, from_id int8 NOT NULL, to_id int8 NOT NULL, amount int8 NOT NULL
    );
    INSERT INTO accounts SELECT id, ${FUNDS} FROM generate_series(1, ${ACCOUNTS}) AS id`);
}

/** Chooses accounts and an amount. One in ten asks for too much, one in ten pays to an account that isn't there. */
export function chooseTransfer(random: () => number): Transfer {
  const account = (): number => 1 + Math.floor(random() * ACCOUNTS);
  const kind = random();
  const brought = random() < 0.5;
  const from = account();
  const to = kind < 0.1 ? NOBODY : (from % ACCOUNTS) + 1;
  const amount = kind > 0.9 ? ACCOUNTS * FUNDS + 1 : 1 + Math.floor(random() * 20);
  const id = brought ? newRequestId() : randomUUID();
  const values = { from: BigInt(from), to: BigInt(to), amount: BigInt(amount) };
  const one = { min: 1, max: 1 };
  return {
    id,
    ...(brought && { requestId: id }),
    hopeless: kind < 0.1 || kind > 0.9,
    steps: [
      {
        statement: sql`UPDATE accounts SET balance = balance - ${values.amount}
          WHERE id = ${values.from} AND balance >= ${values.amount}`,
        guard: one,
      },
      sql`INSERT INTO effects (transfer_id, from_id, to_id, amount)
        VALUES (${id}, ${values.from}, ${values.to}, ${values.amount})`,
      {
        statement: sql`UPDATE accounts SET balance = balance + ${values.amount} WHERE id = ${values.to}`,
        guard: one,
      },
    ],
  };
}

/** Reads them past the links. */
export async function readBooks(rig: Rig): Promise<Books> {
  const effects = await rig.sql(
    "SELECT transfer_id, count(*)::int AS count FROM effects GROUP BY transfer_id",
  );
  const [total] = await rig.sql("SELECT sum(balance)::int AS sum FROM accounts");
  const unbalanced = await rig.sql(`
    SELECT id, balance FROM accounts a WHERE balance <> ${FUNDS}
      + (SELECT coalesce(sum(amount), 0) FROM effects e WHERE e.to_id = a.id)
      - (SELECT coalesce(sum(amount), 0) FROM effects e WHERE e.from_id = a.id)`);
  return {
    effects: new Map(effects.map((row) => [String(row["transfer_id"]), Number(row["count"])])),
    sum: Number(total?.["sum"]),
    sumAtFirst: ACCOUNTS * FUNDS,
    unbalanced,
  };
}
