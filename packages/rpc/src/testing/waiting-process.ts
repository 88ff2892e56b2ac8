// A process with a stream that it has let go of: node waiting-process.ts ADDRESS "lets go" ["and waits"]. Where it is
// told to it waits for a stream of responses over the same connection.
import { openCallStream } from "../client/call-stream.ts";
import { createChannel } from "../client/channel.ts";
import { createClient } from "../client/client.ts";
import { Echo, text, toText } from "./echo-service.ts";

const [address = "", lets, waits] = process.argv.slice(2);
const channel = createChannel({ address });
const stream = openCallStream(channel, Echo.method.both, {
  onConnected: () => {},
  onTaken: () => {
    process.stdout.write("taken\n");
    if (lets === "lets go") stream.unref();
    if (waits === "and waits") void wait();
  },
  onMessage: () => {},
  onEnd: () => {},
});

async function wait(): Promise<void> {
  for await (const response of createClient(Echo, channel).down(text("go"))) {
    process.stdout.write(`${toText(response)}\n`);
  }
}
