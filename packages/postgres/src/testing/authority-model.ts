/** A row of tandem.authority, and of the outbox beside it whether it has anything. */
export interface ModelRow {
  readonly side: string;
  authority: string;
  phase: "settled" | "draining";
  epoch: bigint;
  move: string | null;
  calledOff: string[];
  /** Something was written here that has not been brought to the other side. */
  dirty: boolean;
}

export type Step =
  | { readonly name: "authority" | "backlog" }
  | { readonly name: "beginMove" | "callOffMove"; readonly epoch: bigint; readonly move: string }
  | { readonly name: "endMove"; readonly epoch: bigint; readonly move: string; readonly to: string };

export function createModelRow(side: string, authority: string): ModelRow {
  const dirty = side === authority;
  return { side, authority, phase: "settled", epoch: 1n, move: null, calledOff: [], dirty };
}

export const takesWrites = ({ side, authority, phase }: ModelRow): boolean =>
  authority === side && phase === "settled";

/**
 * What the functions of tandem_0001_mirror.sql do to one of the two rows. Whoever may write does so at once and all the time,
 * and the relay has brought everything whenever somebody looks: so what is left behind is left behind for good.
 */
export function takeStep(rows: readonly ModelRow[], row: ModelRow, step: Step): void {
  change(row, step);
  for (const each of rows) each.dirty ||= takesWrites(each);
}

function change(row: ModelRow, step: Step): void {
  switch (step.name) {
    case "authority":
      break;
    case "backlog":
      // To one that decides itself nothing can be brought.
      if (row.authority === row.side) row.dirty = false;
      break;
    case "beginMove":
      if (row.epoch !== step.epoch || row.phase !== "settled" || row.calledOff.includes(step.move)) break;
      Object.assign(row, { phase: "draining", move: step.move });
      break;
    case "endMove":
      if (row.epoch !== step.epoch || row.move !== step.move) break;
      Object.assign(row, { authority: step.to, phase: "settled", move: null, calledOff: [] });
      row.epoch += 1n;
      break;
    case "callOffMove":
      if (row.epoch !== step.epoch) break;
      row.calledOff.push(step.move);
      if (row.move === step.move) Object.assign(row, { phase: "settled", move: null });
  }
}
