// main.ts with other programs in the place of the services.
import { join } from "node:path";
import { runLocal } from "../run-local.ts";

const standIn = join(import.meta.dirname, "stand-in-service.ts");

process.exit(
  await runLocal({
    programs: { assistant: standIn, gateway: standIn },
    write: (text) => process.stdout.write(text),
    writeError: (text) => process.stderr.write(text),
  }),
);
