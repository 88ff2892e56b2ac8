// A process of its own that starts a server in the folder that it is given and stays.
import { startEmbeddedServer } from "../index.ts";

const [dataFolder = "", port = "0"] = process.argv.slice(2);
const server = await startEmbeddedServer({
  dataFolder,
  port: Number(port),
  settings: { fsync: "off" },
  onProgress: (line) => process.stdout.write(`${line}\n`),
});
process.stdout.write(`ready ${server.pid} ${server.adminUrl}\n`);
process.stdin.on("end", () => void server.stop());
process.stdin.resume();
