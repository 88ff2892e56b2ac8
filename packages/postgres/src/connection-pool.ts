import { HandlerError, settlesWithin } from "@tandem/rpc";
import type { Connection } from "./connection.ts";
import { ConnectionLostError } from "./connection-lost-error.ts";

export interface ConnectionPoolOptions {
  /** Makes a connection that is destroyed when the signal is aborted. */
  readonly open: (signal: AbortSignal) => Promise<Connection>;
  readonly poolSize: number;
  /** How many wait for a connection, and for how long; what comes beyond is refused at once. */
  readonly maxWaiting: number;
  readonly waitTimeoutMs: number;
  /** Connections are replaced after this long, when they are next asked for. */
  readonly connectionLifetimeMs: number;
}

/** A bounded number of connections to one database, made when they are needed. */
export interface ConnectionPool {
  /**
   * Lends a connection to a task that has it alone, and takes it back; nobody gets one that was lost. Fails with OVERLOADED
   * where none comes free in time, with the signal's reason where that is aborted while it waits, with a
   * ConnectError or PostgreSQL's error where none can be made, else as the task does.
   */
  use<T>(task: (connection: Connection) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Refuses what is new or waits, gives what runs so long to finish, and ends every connection. */
  close(timeoutMs: number): Promise<void>;
}

/** Whoever creates it closes it. */
export function createConnectionPool(options: ConnectionPoolOptions): ConnectionPool {
  const places = createPlaces(options);
  const idle: Connection[] = [];
  const end = new AbortController();
  const take = async (): Promise<Connection> => {
    for (let found = idle.pop(); found !== undefined; found = idle.pop()) {
      if (found.lost.aborted) continue;
      if (performance.now() - found.openedAt < options.connectionLifetimeMs) return found;
      void found.close();
    }
    return options.open(end.signal);
  };
  const lend = async <T>(connection: Connection, task: (lent: Connection) => Promise<T>): Promise<T> => {
    try {
      return await task(connection);
    } finally {
      idle.push(connection);
    }
  };
  return {
    use: async (task, signal) => {
      await places.enter(signal);
      try {
        return await lend(await take(), task);
      } finally {
        places.leave();
      }
    },
    close: async (timeoutMs) => {
      await settlesWithin(places.close(), timeoutMs);
      await Promise.all(idle.splice(0).map((connection) => connection.close()));
      end.abort();
    },
  };
}

interface Places {
  enter(signal: AbortSignal | undefined): Promise<void>;
  leave(): void;
  /** Resolves when everybody has left. */
  close(): Promise<void>;
}

interface Waiter {
  admit(): void;
  refuse(error: unknown): void;
}

/** First come, first served. */
function createPlaces({ poolSize, maxWaiting, waitTimeoutMs }: ConnectionPoolOptions): Places {
  const waiters = new Set<Waiter>();
  const empty = Promise.withResolvers<void>();
  let taken = 0;
  let closed = false;

  const overloaded = (): HandlerError => {
    const message = `All ${poolSize} connections to the database are in use and ${waiters.size} tasks wait: try again soon.`;
    return new HandlerError({ reason: "OVERLOADED", message });
  };
  const wait = (signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve, reject) => {
      const leaveQueue = (): void => {
        waiters.delete(waiter);
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
      };
      const waiter: Waiter = {
        admit: () => {
          leaveQueue();
          resolve();
        },
        refuse: (error) => {
          leaveQueue();
          reject(error);
        },
      };
      const abort = (): void => waiter.refuse(signal?.reason);
      const timer = setTimeout(() => waiter.refuse(overloaded()), waitTimeoutMs);
      signal?.addEventListener("abort", abort, { once: true });
      waiters.add(waiter);
    });
  return {
    enter: async (signal) => {
      signal?.throwIfAborted();
      if (closed) throw new ConnectionLostError({ sent: "no", message: "The database has been closed." });
      if (taken >= poolSize) {
        if (waiters.size >= maxWaiting) throw overloaded();
        return wait(signal);
      }
      taken += 1;
    },
    leave: () => {
      const [next] = waiters;
      if (next !== undefined) {
        next.admit();
        return;
      }
      taken -= 1;
      if (closed && taken === 0) empty.resolve();
    },
    close: () => {
      closed = true;
      const refusal = new ConnectionLostError({ sent: "no", message: "The database has been closed." });
      for (const waiter of waiters) waiter.refuse(refusal);
      if (taken === 0) empty.resolve();
      return empty.promise;
    },
  };
}
