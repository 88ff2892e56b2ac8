import { createLogger, HandlerError } from "@tandem/rpc";
import { runSql } from "@tandem/testkit";
import { expect } from "vitest";
import { type Applied, applyMirrored } from "../mirror/apply-mirrored.ts";
import type { Authority } from "../mirror/authority.ts";
import { createDatabaseSide, type MirrorSide } from "../mirror/mirror-side.ts";
import { moveAuthority, type Moved } from "../mirror/move-authority.ts";
import { createOutbox } from "../mirror/outbox.ts";
import { startRelay } from "../mirror/relay.ts";
import { createMirroredPair, type MirroredPair, type MirroredSide } from "./mirrored-pair.ts";

export type Sides = readonly [east: MirrorSide, west: MirrorSide];

/** A pair of databases each of which brings the other one what it decides. */
export interface RelayedPair extends MirroredPair {
  readonly sides: Sides;
  /** Empties both; the east decides, with epoch 1. */
  reset(): Promise<void>;
  move(to: string, expectedEpoch: bigint, through?: Sides, drainTimeoutMs?: number): Promise<Moved>;
  authorities(): Promise<readonly Pick<Authority, "authority" | "phase" | "epoch">[]>;
  /** Writes to whichever side takes it, until it is stopped. */
  startWriters(count: number): Writers;
}

export interface Writers extends AsyncDisposable {
  /** The ids of what was taken. */
  readonly written: readonly string[];
  /** Gives how long the longest write took. */
  stop(): Promise<number>;
}

export async function createRelayedPair(prefix: string): Promise<RelayedPair> {
  await using parts = new AsyncDisposableStack();
  const pair = parts.use(await createMirroredPair(prefix));
  const { east, west } = pair;
  const sides = [
    createDatabaseSide("east", east.database),
    createDatabaseSide("west", west.database),
  ] as const;
  for (const [from, to] of [
    [east, west],
    [west, east],
  ] as const) {
    parts.use(
      startRelay({
        outbox: createOutbox(from.database),
        aggregates: ["note", "tag"].map((name) => ({
          name,
          deliver: async (items) => failuresOf(await applyMirrored(to.database, name, items)),
        })),
        logger: createLogger({ service: "test", level: "fatal" }),
        limits: { pollIntervalMs: 5, minRetryMs: 5 },
      }),
    );
  }
  const used = parts.move();
  return {
    east,
    west,
    sides,
    reset: async () => {
      for (const side of [east, west]) {
        await side.clear();
        await runSql(side.ownerUrl, EAST_DECIDES);
      }
    },
    move: (to, expectedEpoch, through = sides, drainTimeoutMs = 5_000) =>
      moveAuthority({
        sides: through,
        to,
        expectedEpoch,
        drainTimeoutMs,
        aggregates: ["note", "tag"],
        signal: new AbortController().signal,
      }),
    authorities: () =>
      Promise.all(
        sides.map(async (side) => {
          const { authority, phase, epoch } = await side.authority();
          return { authority, phase, epoch };
        }),
      ),
    startWriters: (count) =>
      startWriters(count, async () => ((await sides[0].authority()).authority === "east" ? east : west)),
    [Symbol.asyncDispose]: () => used.disposeAsync(),
  };
}

const EAST_DECIDES =
  "UPDATE tandem.authority SET authority = 'east', epoch = 1, phase = 'settled', move = NULL, called_off = '{}'";

const failuresOf = (results: readonly (Applied | HandlerError)[]): (Error | undefined)[] =>
  results.map((result) => (result instanceof HandlerError ? result : undefined));

function startWriters(count: number, deciding: () => Promise<MirroredSide>): Writers {
  const stopped = new AbortController();
  const written: string[] = [];
  let longestMs = 0;
  const writers = Array.from({ length: count }, async () => {
    while (!stopped.signal.aborted) {
      const began = performance.now();
      const { database } = await deciding();
      try {
        const id = crypto.randomUUID();
        await database.sql`INSERT INTO notes (id, title) VALUES (${id}, 'w')`;
        written.push(id);
        longestMs = Math.max(longestMs, performance.now() - began);
      } catch (error) {
        expect(error).toMatchObject({ code: "TD001" });
      }
    }
  });
  const stop = async (): Promise<number> => {
    stopped.abort();
    await Promise.all(writers);
    return longestMs;
  };
  return { written, stop, [Symbol.asyncDispose]: async () => void (await stop()) };
}

export const settledOn = (authority: string, epoch: bigint) => {
  const row = { authority, phase: "settled", epoch };
  return [row, row];
};

export const contentsOf = ({ url }: MirroredSide): Promise<readonly Record<string, unknown>[]> =>
  runSql(url, "SELECT to_jsonb(n) AS row FROM notes n ORDER BY n.id");

/** Whether a side takes a write. */
export const takesWrite = ({ url }: MirroredSide): Promise<boolean> =>
  runSql(url, "INSERT INTO notes (id, title) VALUES (gen_random_uuid(), 'n')").then(
    () => true,
    () => false,
  );
