/** A server was to listen, or a channel to call, where others could read along. */
export class PlaintextError extends Error {
  override readonly name = "PlaintextError";
}

const LOOPBACK = /^(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\]):\d+$/;

/** Whether an address, `host:port` or a grpc target of such, is this machine's alone. Any doubt is a no. */
export function isLoopback(address: string): boolean {
  const hosts = address.replace(/^(?:dns:(?:\/\/\/)?|ipv4:|ipv6:)/, "").split(",");
  return hosts.every((host) => LOOPBACK.test(host) || host.startsWith("unix:"));
}

/** Fails with a PlaintextError where a server without TLS could be reached from another machine. */
export function checkPlaintext(address: string): void {
  if (isLoopback(address)) return;
  throw new PlaintextError(
    `${address} can be reached from other machines, and without TLS whoever is there reads and writes along: give this server certificates (tls), or let it listen on 127.0.0.1 or [::1].`,
  );
}
