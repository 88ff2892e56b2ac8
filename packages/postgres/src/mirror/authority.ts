import type { Database } from "../create-database.ts";

/** Which of two databases decides about the rows that both hold, as one of them has it. */
export interface Authority {
  /** This database. */
  readonly side: string;
  /** The one that decides. */
  readonly authority: string;
  /** While it is draining nobody's writes are taken. */
  readonly phase: "settled" | "draining";
  /** Grows by one whenever it moves. */
  readonly epoch: bigint;
  /** Since when it is so, in PostgreSQL's form. */
  readonly since: string;
  /** By which move it is draining. */
  readonly move: string | null;
}

export async function readAuthority({ sql }: Pick<Database, "sql">): Promise<Authority> {
  const [row] =
    await sql<Authority>`SELECT side, authority, phase, epoch, since::text, move FROM tandem.read_authority()`;
  if (row === undefined) throw new Error("This database doesn't say who decides: tandem.authority is empty.");
  return row;
}
