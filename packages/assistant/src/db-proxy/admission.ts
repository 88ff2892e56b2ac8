import { HandlerError } from "@tandem/rpc";
import { createServiceTimes } from "./service-times.ts";

/** Who asks for a place: until when, and whether still. */
export interface Applicant {
  readonly deadline: Date | undefined;
  readonly signal: AbortSignal;
}

/**
 * Lets a bounded number of tasks run and a bounded number wait, first come first served; what comes beyond that
 * is refused at once, and so is what would wait past its deadline. What has waited so long that it can't be
 * through in time, or for a caller that left, is never run: were it run, the time would be lost to the others.
 */
export interface Admission {
  run<T>(applicant: Applicant, task: () => Promise<T>): Promise<T>;
  /** How many run and how many wait at this moment. */
  readonly load: { readonly running: number; readonly waiting: number };
}

/** How many may wait altogether; several admissions can share one. */
export interface WaitingRoom {
  readonly size: number;
  taken: number;
}

export function createWaitingRoom(size: number): WaitingRoom {
  return { size, taken: 0 };
}

export interface AdmissionLimits {
  readonly maxRunning: number;
  readonly room: WaitingRoom;
  /** How many of those in the room may wait here; all of them where it isn't said. */
  readonly maxWaiting?: number;
}

export function createAdmission({ maxRunning, room, maxWaiting = room.size }: AdmissionLimits): Admission {
  const waiting = new Set<() => void>();
  const times = createServiceTimes(maxRunning);
  let running = 0;
  const admitNext = (): void => {
    const [next] = waiting;
    next?.();
  };
  /** Resolves when a place came free, and is taken. */
  const wait = (applicant: Applicant): Promise<void> => {
    if (room.taken >= room.size || waiting.size >= maxWaiting) {
      const message = `Of those that run and wait there are too many (${running} and ${waiting.size} before this one, ${room.taken} wait in all): it was not begun. Try again soon.`;
      throw new HandlerError({ reason: "OVERLOADED", message });
    }
    if (msLeft(applicant) < times.leastMs(waiting.size + 1)) {
      const message = `${running} transactions run and ${room.taken} wait: this one's turn would come too late.`;
      throw new HandlerError({ reason: "OVERLOADED", message });
    }
    return new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        waiting.delete(admit);
        room.taken -= 1;
        applicant.signal.removeEventListener("abort", giveUp);
      };
      const admit = (): void => {
        leave();
        running += 1;
        resolve();
      };
      const giveUp = (): void => {
        leave();
        reject(dropped(applicant));
      };
      waiting.add(admit);
      room.taken += 1;
      applicant.signal.addEventListener("abort", giveUp, { once: true });
    });
  };
  return {
    get load() {
      return { running, waiting: waiting.size };
    },
    run: async (applicant, task) => {
      if (applicant.signal.aborted || msLeft(applicant) <= 0) throw dropped(applicant);
      const waited = running >= maxRunning;
      if (waited) await wait(applicant);
      else running += 1;
      try {
        if (waited && msLeft(applicant) <= times.leastMs(0)) throw dropped(applicant);
        const started = performance.now();
        try {
          return await task();
        } finally {
          const through = !applicant.signal.aborted && msLeft(applicant) > 0;
          times.add({ ms: performance.now() - started, through });
        }
      } finally {
        running -= 1;
        admitNext();
      }
    },
  };
}

function msLeft({ deadline }: Applicant): number {
  return deadline === undefined ? Infinity : deadline.getTime() - Date.now();
}

function dropped(applicant: Applicant): HandlerError {
  const left = applicant.signal.aborted && msLeft(applicant) > 0;
  return new HandlerError({
    reason: left ? "CANCELLED_BY_CALLER" : "TRANSACTION_TIMEOUT",
    outcome: "NOT_COMMITTED",
    message: left ? "The caller left before it could run." : "The deadline would pass before it is through.",
  });
}
