import { status } from "@grpc/grpc-js";
import {
  Health as HealthService,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "@tandem/contract/health/v1/health";
import { EventEmitter, once } from "node:events";
import { HandlerError } from "../errors/handler-error.ts";
import type { HandlerContext } from "../server/handler-context.ts";
import type { Handlers } from "../server/handlers.ts";

/** The name under which the server as a whole is asked for. */
export const WHOLE_SERVER = "";

/** What grpc.health.v1 says of each service, and of the server as a whole. */
export interface Health {
  readonly service: typeof HealthService;
  readonly handlers: Handlers<typeof HealthService>;
  set(service: string, serving: boolean): void;
  isServing(service: string): boolean;
  /** Every service there is, and the server as a whole. */
  setAll(serving: boolean): void;
}

/**
 * grpc.health.v1 with Check, List and Watch. A Watch ends when the server drains: one that stayed open
 * would keep the drain waiting until it is forced.
 */
export function createHealth(): Health {
  const states = new Map<string, ServingStatus>([[WHOLE_SERVER, ServingStatus.NOT_SERVING]]);
  const changes = new EventEmitter().setMaxListeners(0);
  const set = (service: string, serving: boolean): void => {
    states.set(service, serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING);
    changes.emit("change");
  };

  async function* watch(service: string, context: HandlerContext): AsyncGenerator<{ status: ServingStatus }> {
    let told: ServingStatus | undefined;
    const over = AbortSignal.any([context.signal, context.draining]);
    for (;;) {
      const now = states.get(service) ?? ServingStatus.SERVICE_UNKNOWN;
      if (now !== told) yield { status: (told = now) };
      if (over.aborted) return;
      if ((states.get(service) ?? ServingStatus.SERVICE_UNKNOWN) !== told) continue;
      await once(changes, "change", { signal: over }).catch(() => {});
    }
  }

  return {
    service: HealthService,
    set,
    isServing: (service) => states.get(service) === ServingStatus.SERVING,
    setAll: (serving) => {
      for (const service of states.keys()) set(service, serving);
    },
    handlers: {
      check: ({ service }) => {
        const state = states.get(service);
        if (state !== undefined) return { status: state };
        throw new UnknownServiceError(service);
      },
      watch: ({ service }, context) => watch(service, context),
      list: () => ({
        statuses: Object.fromEntries([...states].map(([name, state]) => [name, { status: state }])),
      }),
    },
  };
}

/** grpc.health.v1 asks for NOT_FOUND where a service isn't known. */
class UnknownServiceError extends HandlerError {
  constructor(service: string) {
    super({
      reason: "INVALID_REQUEST",
      code: status.NOT_FOUND,
      outcome: "NOT_COMMITTED",
      retryable: false,
      message: `There is no service "${service}" here.`,
    });
  }
}
