// `npm start`: PostgreSQL, assistant and gateway on this machine, until somebody stops them.
import { fileURLToPath } from "node:url";
import { runLocal } from "./run-local.ts";

// Whoever read what we print may be gone before us.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

if (process.argv.length > 2) {
  process.stderr.write(
    "npm start takes no arguments: docs/configuration.md lists the variables that it reads.\n",
  );
  process.exit(2);
}

process.exit(
  await runLocal({
    programs: {
      assistant: fileURLToPath(import.meta.resolve("@tandem/assistant/main")),
      gateway: fileURLToPath(import.meta.resolve("@tandem/gateway/main")),
    },
    write: (text) => process.stdout.write(text),
    writeError: (text) => process.stderr.write(text),
  }),
);
