import { HandlerError } from "@tandem/rpc";

/** Who asks for a place: until when, and whether still. */
export interface Applicant {
  readonly deadline: Date | undefined;
  readonly signal: AbortSignal;
}

/**
 * Lets a bounded number of tasks run and a bounded number wait, first come first served; what comes beyond that
 * is refused at once. What has waited past its deadline, or for a caller that left, is never run.
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
}

export function createAdmission({ maxRunning, room }: AdmissionLimits): Admission {
  const waiting = new Set<() => void>();
  let running = 0;
  const admitNext = (): void => {
    const [next] = waiting;
    next?.();
  };
  const enter = async (applicant: Applicant): Promise<void> => {
    if (running < maxRunning) {
      running += 1;
      return;
    }
    if (room.taken >= room.size) {
      const message = `${running} transactions run and ${room.taken} wait: this one was not begun. Try again soon.`;
      throw new HandlerError({ reason: "OVERLOADED", message });
    }
    await new Promise<void>((resolve, reject) => {
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
      if (applicant.signal.aborted) throw dropped(applicant);
      await enter(applicant);
      try {
        if (isLate(applicant)) throw dropped(applicant);
        return await task();
      } finally {
        running -= 1;
        admitNext();
      }
    },
  };
}

function isLate({ deadline }: Applicant): boolean {
  return deadline !== undefined && deadline.getTime() <= Date.now();
}

function dropped(applicant: Applicant): HandlerError {
  const late = isLate(applicant);
  return new HandlerError({
    reason: late ? "TRANSACTION_TIMEOUT" : "CANCELLED_BY_CALLER",
    outcome: "NOT_COMMITTED",
    message: late ? "The deadline passed before it could run." : "The caller left before it could run.",
  });
}
