#!/usr/bin/env node
// `tandem`, for the person who runs the pair.
import { runCommandLine } from "./command-line.ts";

// Whoever was to read what we print may be gone, or its disk full: then it didn't get a token that it was to get.
process.stdout.on("error", ({ message }) => {
  process.exitCode = 1;
  process.stderr.write(`tandem: Standard output could not be written (${message}).\n`);
});
process.stderr.on("error", () => undefined);

const exitCode = await runCommandLine(process.argv.slice(2), {
  write: (text) => void process.stdout.write(text),
  writeError: (text) => void process.stderr.write(text),
});
if (exitCode !== 0) process.exitCode = exitCode;
