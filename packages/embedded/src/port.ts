import { createServer } from "node:net";

/** Whether a server could listen on this TCP port of 127.0.0.1 now. */
export async function isPortFree(port: number): Promise<boolean> {
  return (await tryToListen(port)) !== undefined;
}

/** A TCP port of 127.0.0.1 that nobody listens on at this moment. Another program may still take it. */
export async function findFreePort(): Promise<number> {
  const port = await tryToListen(0);
  if (port === undefined) throw new Error("The system has no free TCP port on 127.0.0.1.");
  return port;
}

async function tryToListen(port: number): Promise<number | undefined> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => {
      const address = server.address();
      const taken = address !== null && typeof address === "object" ? address.port : undefined;
      server.close(() => resolve(taken));
    });
  });
}
