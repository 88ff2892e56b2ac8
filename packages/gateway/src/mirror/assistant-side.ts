import { type Aggregate, authorityStatements, mirrorStatements } from "@tandem/assistant-statements";
import { callable, type DbProxy, type QueryOptions, type Statement } from "@tandem/dbproxy";
import { translateAssistantFailure } from "../authority/assistant-failures.ts";
import type { Authority, MirrorSide, RowVersion } from "@tandem/postgres";

/** What the assistant failed with is for the operator who called the gateway, too. */
const failing =
  (during: "read" | "write") =>
  (error: unknown): never => {
    throw translateAssistantFailure(error, during);
  };

// DbProxy gives twice as many at once, and no more.
const MAX_ROWS = 5_000;

// Of thousands of calls in a comparison none need fail because of a busy moment: within this they are tried again.
const COMPARING = { timeoutMs: 30_000 };

/** The assistant's side, over DbProxy by registered statements. */
export function createAssistantSide(assistantDb: DbProxy): MirrorSide {
  // Whether it has run before makes no difference: each can be repeated, so none needs an id that is kept.
  const run = async <Row extends object>(statement: Statement<Row>): Promise<readonly Row[]> => {
    const { results } = await assistantDb.transaction([statement]).catch(failing("write"));
    return results[0].rows;
  };
  const ask = async <Row extends object>(statement: Statement<Row>, options: QueryOptions = {}) => {
    const asked = { ...options, primary: true };
    const { rows } = await assistantDb.query(statement, asked).catch(failing("read"));
    return rows;
  };
  // tandem.authority allows no other phases.
  const toAuthority = ([row]: readonly object[]): Authority => row as Authority;
  const status = async () => {
    const [row] = await ask(callable(authorityStatements.backlog)({}));
    return row ?? { pending: 0n, parked: 0n, oldestSeconds: 0, now: "" };
  };
  return {
    name: "assistant",
    authority: async () => toAuthority(await ask(callable(authorityStatements.read)({}))),
    beginMove: async (epoch, move) =>
      toAuthority(await run(callable(authorityStatements.beginMove)({ epoch, move }))),
    endMove: async (epoch, move, to) =>
      toAuthority(await run(callable(authorityStatements.endMove)({ epoch, move, to }))),
    callOffMove: async (epoch, move) =>
      toAuthority(await run(callable(authorityStatements.callOffMove)({ epoch, move }))),
    backlog: async () => {
      const { pending, parked, oldestSeconds } = await status();
      return { pending: Number(pending), parked: Number(parked), oldestAgeMs: oldestSeconds * 1_000 };
    },
    pending: async (aggregate, ids) => {
      const rows = await ask(callable(authorityStatements.pending)({ aggregate, ids }));
      return new Set(rows.map(({ id }) => id));
    },
    parked: (aggregate, { after = null, maxRows }) =>
      ask(callable(authorityStatements.parked)({ aggregate, after, maxRows })),
    release: async (aggregate, brought) => {
      const [ids, versions] = [brought.map(({ id }) => id), brought.map(({ version }) => version)];
      await run(callable(authorityStatements.release)({ aggregate, ids, versions }));
    },
    now: async () => (await status()).now,
    digests: async (aggregate, { parts = null, ...within }) => {
      const rows = await ask(callable(of(aggregate).digests)({ ...within, parts }), COMPARING);
      return rows.map(({ bucket, held, digest }) => ({ bucket: Number(bucket), held: Number(held), digest }));
    },
    list: async (aggregate, { buckets, since, before, parts = null }) => {
      const list = callable(of(aggregate).list);
      const all: RowVersion[] = [];
      for (let after: string | null = null; ;) {
        const rows: readonly RowVersion[] = await ask(
          list({ buckets, since, before, parts, after, maxRows: MAX_ROWS }),
          COMPARING,
        );
        all.push(...rows);
        if (rows.length < MAX_ROWS) return all;
        after = rows.at(-1)?.id ?? null;
      }
    },
    read: async (aggregate, ids) => {
      const rows = await ask(callable(of(aggregate).read)({ ids }), COMPARING);
      return rows.map(({ state, ...row }) => ({ ...row, state: state ?? undefined }));
    },
    apply: async (aggregate, { id, version, state = null }) => {
      await run(callable(of(aggregate).apply)({ id, version, state }));
    },
    recover: async (aggregate, { id, version, state = null }) => {
      await run(callable(of(aggregate).recover)({ id, version, state }));
    },
  };
}

function of(aggregate: string): (typeof mirrorStatements)[Aggregate] {
  if (aggregate === "contact" || aggregate === "invite") return mirrorStatements[aggregate];
  throw new TypeError(`Nothing is registered for the aggregate ${aggregate}.`);
}
