import { parsePolicy } from "@tandem/assistant/policy";

/** Allows the workloads to the load's processes, column by column, since that is what costs something. */
export const benchPolicy: ReturnType<typeof parsePolicy> = parsePolicy(`
version: 1
callers:
  gateway:
    sql: true
    tables:
      pair_invites: { select: [id, status, version], update: [status, version] }
      pair_channels: { select: [invite_id, address, version], insert: [invite_id, address], update: [address, version] }
      pgbench_accounts: { select: [aid, bid, abalance], update: [abalance] }
      pgbench_tellers: { select: [tid, bid, tbalance], update: [tbalance] }
      pgbench_branches: { select: [bid, bbalance], update: [bbalance] }
      pgbench_history: { insert: [tid, bid, aid, delta, mtime] }
      steps_items: { select: [id, n], update: [n] }
      bodies: { select: [id, body], insert: [id, body], update: [body] }
`);
