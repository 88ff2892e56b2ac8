// `npm run check`: every static check there is, each named, all of them run even when one fails.
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";

interface Check {
  readonly name: string;
  readonly run: () => Promise<string | undefined>;
}

const checks: readonly Check[] = [
  { name: "contract: buf lint", run: () => command("buf", "lint") },
  { name: "contract: formatted", run: () => command("buf", "format", "--diff", "--exit-code", "proto") },
  { name: "contract: generated code is up to date", run: generatedCodeIsCurrent },
  { name: "types", run: () => command("tsc", "--noEmit") },
  { name: "lint", run: () => command("oxlint", "--type-aware", "--deny-warnings") },
  { name: "formatted", run: () => command("oxfmt", "--check") },
  { name: "lock file names no download address", run: lockFileHasNoAddress },
];

const failures: string[] = [];
for (const check of checks) {
  const started = performance.now();
  const problem = await check.run();
  const took = `${Math.round(performance.now() - started)} ms`;
  console.log(`${problem === undefined ? "ok    " : "FAILED"}  ${check.name} (${took})`);
  if (problem !== undefined) {
    failures.push(check.name);
    console.log(problem.replaceAll(/^/gm, "        "));
  }
}
console.log(`${checks.length - failures.length} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;

/** Runs a command and gives its output where it failed. */
async function command(name: string, ...args: string[]): Promise<string | undefined> {
  const child = spawn(name, args, { stdio: ["ignore", "pipe", "pipe"] });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  return code === 0 ? undefined : Buffer.concat(chunks).toString().trim() || `${name} ended with ${code}`;
}

async function generatedCodeIsCurrent(): Promise<string | undefined> {
  const problem = await command("buf", "generate", "--output", "node_modules/.generated");
  if (problem !== undefined) return problem;
  const folder = "packages/contract/src/gen";
  const difference = await command(
    "diff",
    "--recursive",
    "--brief",
    folder,
    `node_modules/.generated/${folder}`,
  );
  return difference === undefined ? undefined : `${difference}\nRun: npm run generate`;
}

async function lockFileHasNoAddress(): Promise<string | undefined> {
  const lines = (await readFile("pnpm-lock.yaml", "utf8")).split("\n");
  const found = lines.filter((line) => /https?:\/\//.test(line));
  return found.length === 0 ? undefined : found.slice(0, 5).join("\n");
}
