import { type Admission, type Applicant, createAdmission, type WaitingRoom } from "./admission.ts";

/** Lets one task at a time run for each key, the others wait: in memory, where they hold no connection. */
export interface KeyQueues {
  run<T>(key: string, applicant: Applicant, task: () => Promise<T>): Promise<T>;
}

// One key that is stuck leaves room for the others.
const SHARE_OF_A_KEY = 0.5;

/** Those who wait for a key wait in `room`. */
export function createKeyQueues(room: WaitingRoom): KeyQueues {
  const maxWaiting = Math.ceil(room.size * SHARE_OF_A_KEY);
  const queues = new Map<string, Admission>();
  return {
    run: async (key, applicant, task) => {
      const queue = queues.get(key) ?? createAdmission({ maxRunning: 1, room, maxWaiting });
      queues.set(key, queue);
      try {
        return await queue.run(applicant, task);
      } finally {
        const { running, waiting } = queue.load;
        if (running + waiting === 0) queues.delete(key);
      }
    },
  };
}
