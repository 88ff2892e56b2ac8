/** What the tasks of late have taken, from which the next ones' times are foretold. */
export interface ServiceTimes {
  /** To be called when a task has ended; `through` where it was not cut off. */
  add(task: { readonly ms: number; readonly through: boolean }): void;
  /** The least that whoever waits behind so many others needs until it is through; 0 where nothing is known. */
  leastMs(ahead: number): number;
}

// A few dozen tasks are remembered.
const MEAN_WEIGHT = 0.05;
// The short estimate follows a shorter task at once and a longer one slowly: about one in twenty is below it.
const SHORTER_WEIGHT = 0.5;
const LONGER_WEIGHT = 0.025;
// What is begun at the last moment is too late half of the time.
const SAFETY = 1.5;

/** For tasks of which `maxRunning` run at a time. */
export function createServiceTimes(maxRunning: number): ServiceTimes {
  let meanMs: number | undefined;
  let shortMs: number | undefined;
  return {
    add: ({ ms, through }) => {
      meanMs = towards(meanMs, ms, MEAN_WEIGHT);
      // What was cut off would have taken longer, nobody knows how long.
      if (through) shortMs = towards(shortMs, ms, ms < (shortMs ?? ms) ? SHORTER_WEIGHT : LONGER_WEIGHT);
    },
    leastMs: (ahead) => SAFETY * ((ahead * (meanMs ?? 0)) / maxRunning + (shortMs ?? 0)),
  };
}

function towards(estimate: number | undefined, value: number, weight: number): number {
  return estimate === undefined ? value : estimate + weight * (value - estimate);
}
