import { defaultRpcLimits, type Logger, watchFiles } from "@tandem/rpc";
import { type InviteKeys, parseInviteKeys } from "./keys.ts";

export interface WatchInviteKeysOptions {
  /** `TANDEM_INVITE_KEYS_FILE`. */
  readonly file: string;
  readonly logger: Logger;
  readonly pollMs?: number;
}

/** The keys that the file has by now. Whoever opened it closes it. */
export interface WatchedInviteKeys extends Disposable {
  readonly current: InviteKeys;
}

/**
 * Reads the keys, and goes on reading them. What can't be used later is logged, and the keys before it stay in use:
 * without them nobody's invite would be found. Fails with a CredentialsFileError where they can't be used now.
 */
export function watchInviteKeys(options: WatchInviteKeysOptions): WatchedInviteKeys {
  const { file, logger, pollMs = defaultRpcLimits.credentialsPollMs } = options;
  const watched = watchFiles({
    files: [file],
    pollMs,
    parse: ([content]) => parseInviteKeys(content?.toString() ?? ""),
    onProblem: (err) => logger.error({ err }, "the keys of invites can't be used: those before stay in use"),
  });
  watched.onChange(({ current, live }) => {
    logger.info(
      { current: current.id, live: live.map(({ id }) => id) },
      "the keys of invites were read again",
    );
  });
  return {
    get current() {
      return watched.current;
    },
    [Symbol.dispose]: () => watched.close(),
  };
}
