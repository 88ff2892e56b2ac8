/** A handler that answers with its request, but not before it is let go. */
export interface HeldHandler {
  readonly one: (request: object) => Promise<object>;
  /** Resolves when it has been called. */
  readonly called: Promise<void>;
  readonly release: () => void;
}

export function holdHandler(): HeldHandler {
  const called = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  return {
    one: async (request) => {
      called.resolve();
      await released.promise;
      return request;
    },
    called: called.promise,
    release: () => released.resolve(),
  };
}
