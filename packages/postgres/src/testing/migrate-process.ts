// A replica that does nothing but migrate: node migrate-process.ts URL FOLDER
import { migrate } from "../migrate.ts";

const [url = "", folder = ""] = process.argv.slice(2);
const { applied } = await migrate({
  url,
  folders: [folder],
  onProgress: (event) => process.stdout.write(`${JSON.stringify(event)}\n`),
});
process.stdout.write(`applied ${JSON.stringify(applied)}\n`);
