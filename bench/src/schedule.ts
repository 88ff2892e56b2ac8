/** A row at a number of calls in flight, in a round. Round 0, where there is one, warms up and isn't counted. */
export interface Slot<R> {
  readonly row: R;
  readonly round: number;
  readonly inFlight: number;
}

export interface ScheduleOptions<R> {
  readonly rounds: number;
  readonly warmUp: boolean;
  /** The numbers of calls in flight that are asked for. */
  readonly concurrency: readonly number[];
  /** The only numbers at which a row is measured: its first one where none of them is asked for. */
  readonly numbersOf: (row: R) => readonly number[] | undefined;
}

/**
 * Every row at every number in flight in every round. Within a round the rows take turns at each number, so that
 * what are compared stand beside each other in time; every other round goes backwards, so that what changes
 * slowly favours nobody.
 */
export function schedule<R>(rows: readonly R[], options: ScheduleOptions<R>): readonly Slot<R>[] {
  const numbers = new Map(rows.map((row) => [row, numbersFor(row, options)]));
  const all = [...new Set([...options.concurrency, ...[...numbers.values()].flat()])];
  const turns = all
    .toSorted((a, b) => a - b)
    .map((inFlight) => ({ inFlight, due: rows.filter((row) => numbers.get(row)?.includes(inFlight)) }));
  const inRound = (round: number): readonly Slot<R>[] =>
    turns.flatMap(({ inFlight, due }) =>
      (round % 2 === 0 ? due : due.toReversed()).map((row) => ({ row, round, inFlight })),
    );
  const rounds = Array.from({ length: options.rounds }, (_, index) => inRound(index + 1));
  return [options.warmUp ? inRound(0) : [], ...rounds].flat();
}

function numbersFor<R>(row: R, { concurrency, numbersOf }: ScheduleOptions<R>): readonly number[] {
  const own = numbersOf(row);
  if (own === undefined) return concurrency;
  const asked = own.filter((number) => concurrency.includes(number));
  return asked.length > 0 ? asked : own.slice(0, 1);
}
