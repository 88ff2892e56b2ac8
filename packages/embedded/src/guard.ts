import { spawn } from "node:child_process";
import { Socket } from "node:net";

// A guard is a shell in a session of its own that waits at the end of a pipe. A line means that what
// it guards has ended in order; the end of the pipe means that we have died, in whatever way, since
// the system closes our end for us.

// The pid comes from the server's own file, so that a server which we started a moment before we died
// is found too; it is signalled only where it works in this folder, as a pid may be another's by now.
const serverScript = `
trap '' HUP INT TERM
if IFS= read -r line; then exit 0; fi
running() {
  IFS= read -r pid 2>/dev/null <"$1/postmaster.pid" || return 1
  kill -0 "$pid" 2>/dev/null || return 1
  [ ! -e "/proc/$pid/cwd" ] || [ "$(readlink "/proc/$pid/cwd")" = "$1" ]
}
tries=0
until running "$1"; do
  tries=$((tries + 1)); [ "$tries" -ge 20 ] && exit 0
  sleep 0.1
done
for signal in INT QUIT KILL; do
  kill -s "$signal" "$pid" 2>/dev/null
  tries=0
  while [ "$tries" -lt 30 ]; do
    running "$1" || exit 0
    tries=$((tries + 1)); sleep 0.1
  done
done
`;

const groupScript = `
trap '' HUP INT TERM
if IFS= read -r line; then exit 0; fi
tries=0
while [ "$tries" -lt "$2" ]; do
  kill -s 0 -- "-$1" 2>/dev/null || exit 0
  tries=$((tries + 1)); sleep 0.1
done
kill -s KILL -- "-$1" 2>/dev/null
`;

/**
 * Stops the server in a cluster's folder when this process dies without having stopped it: a fast
 * shutdown, after three seconds an immediate one. To be called before the server is started.
 *
 * @returns a function to call when the server has ended, after which nothing is guarded any more
 */
export function guardServer(clusterFolder: string): () => void {
  return startGuard(serverScript, clusterFolder);
}

/**
 * Kills a process group when this process dies while the group runs.
 *
 * @param options.graceMs how long the group may take to end by itself before that
 * @returns a function to call when the group has ended, after which nothing is guarded any more
 */
export function guardGroup(leader: number, options: { readonly graceMs: number }): () => void {
  return startGuard(groupScript, String(leader), String(Math.ceil(options.graceMs / 100)));
}

function startGuard(script: string, ...scriptArguments: readonly string[]): () => void {
  const child = spawn("/bin/sh", ["-c", script, "tandem-guard", ...scriptArguments], {
    cwd: "/",
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  // A guard that is gone can't be told to stand down, and doesn't need to be.
  child.stdin.on("error", () => undefined);
  // Neither the guard nor its pipe is a reason for this process to stay.
  child.unref();
  if (child.stdin instanceof Socket) child.stdin.unref();
  return () => child.stdin.end("done\n");
}
