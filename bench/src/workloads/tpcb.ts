import { pick, type Tag, type Workload, type WorkStep } from "./workload.ts";

// pgbench's own tables with fewer accounts. A branch's row is what transactions wait for each other at.
const BRANCHES = 20;
const TELLERS = 10 * BRANCHES;
const ACCOUNTS = 10_000 * BRANCHES;

/** TPC-B as pgbench has it: three UPDATEs, a SELECT and an INSERT. */
export const tpcb: Workload = {
  define: [
    `CREATE TABLE IF NOT EXISTS pgbench_branches (bid int8 PRIMARY KEY, bbalance int8 NOT NULL)`,
    `CREATE TABLE IF NOT EXISTS pgbench_tellers (tid int8 PRIMARY KEY, bid int8 NOT NULL, tbalance int8 NOT NULL)`,
    `CREATE TABLE IF NOT EXISTS pgbench_accounts (aid int8 PRIMARY KEY, bid int8 NOT NULL, abalance int8 NOT NULL, filler char(84) NOT NULL)`,
    `CREATE TABLE IF NOT EXISTS pgbench_history (tid int8, bid int8, aid int8, delta int8, mtime timestamptz)`,
    `INSERT INTO pgbench_branches SELECT id, 0 FROM generate_series(1, ${BRANCHES}) AS id ON CONFLICT DO NOTHING`,
    `INSERT INTO pgbench_tellers SELECT id, 1 + id % ${BRANCHES}, 0 FROM generate_series(1, ${TELLERS}) AS id ON CONFLICT DO NOTHING`,
    `INSERT INTO pgbench_accounts SELECT id, 1 + id % ${BRANCHES}, 0, '' FROM generate_series(1, ${ACCOUNTS}) AS id ON CONFLICT DO NOTHING`,
  ],
  steps<S>(sql: Tag<S>): readonly WorkStep<S>[] {
    const [account, teller, branch] = [pick(ACCOUNTS), pick(TELLERS), pick(BRANCHES)];
    const delta = pick(10_000) - 5_000n;
    return [
      {
        statement: sql`UPDATE pgbench_accounts SET abalance = abalance + ${delta} WHERE aid = ${account}`,
        changes: 1,
      },
      { statement: sql`SELECT abalance FROM pgbench_accounts WHERE aid = ${account}` },
      {
        statement: sql`UPDATE pgbench_tellers SET tbalance = tbalance + ${delta} WHERE tid = ${teller}`,
        changes: 1,
      },
      {
        statement: sql`UPDATE pgbench_branches SET bbalance = bbalance + ${delta} WHERE bid = ${branch}`,
        changes: 1,
      },
      {
        statement: sql`INSERT INTO pgbench_history (tid, bid, aid, delta, mtime)
          VALUES (${teller}, ${branch}, ${account}, ${delta}, CURRENT_TIMESTAMP)`,
      },
    ];
  },
  pgbenchScript: `\\set aid random(1, ${ACCOUNTS})
\\set bid random(1, ${BRANCHES})
\\set tid random(1, ${TELLERS})
\\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
`,
};
