// Runs one of the project's tools (`node`, `vitest`, `buf`, …) with the versions that the project
// pins, installing them first where they are missing or out of date. It is what every npm script
// starts with, so it must itself run on whatever Node (20 or newer) the machine has.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "node_modules", ".bin");
const stampFile = join(root, "node_modules", ".tandem-installed");

// Noted before anything takes its time: npm may be gone when the installation is done.
const parent = process.ppid;

const [tool, ...args] = process.argv.slice(2);
if (!tool) fail("Say which tool to run: node tooling/run.mjs TOOL [ARGUMENTS]");
if (Number(process.versions.node.split(".")[0]) < 20) {
  fail(`Node ${process.versions.node} is too old: install Node 20 or newer and run this again.`);
}
installIfNeeded();
runTool();

function installIfNeeded() {
  const wanted = fingerprint();
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === wanted && isWhole()) return;
  const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  say(`installing what package.json pins, with ${packageManager} (a minute at most where nothing is cached)`);
  rmSync(stampFile, { force: true });
  const started = Date.now();
  const { status, error } = spawnSync(
    "npx",
    ["--yes", packageManager, "install", "--frozen-lockfile", "--prefer-offline"],
    // Standard output is the tool's: somebody may keep what it prints.
    { cwd: root, stdio: ["ignore", 2, 2], env: { ...process.env, CI: "true" } },
  );
  if (error) fail(`npx could not be started (${error.message}): is npm installed beside Node?`);
  if (status !== 0) fail("The installation failed; the lines above say why. Mend that and run this again.");
  mkdirSync(join(root, "node_modules"), { recursive: true });
  writeFileSync(stampFile, wanted);
  say(`installed in ${Math.round((Date.now() - started) / 1000)} s`);
}

// What a person or a full disk can have taken away since. Deeper damage shows when something is run.
function isWhole() {
  const programs = [join(bin, tool), join(bin, "node")];
  return programs.every((program) => existsSync(program) && statSync(program).size > 0);
}

// Everything that decides what an installation puts where.
function fingerprint() {
  const manifests = ["packages", "tests", "bench"].flatMap((folder) => manifestsBelow(folder)).toSorted();
  const hash = createHash("sha256").update(`${process.platform} ${process.arch}\n`);
  for (const file of ["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", ...manifests]) {
    if (existsSync(join(root, file))) hash.update(file).update(readFileSync(join(root, file)));
  }
  return hash.digest("hex");
}

function manifestsBelow(folder) {
  if (!existsSync(join(root, folder))) return [];
  const own = join(folder, "package.json");
  const below = readdirSync(join(root, folder)).map((name) => join(folder, name, "package.json"));
  return [own, ...below];
}

function runTool() {
  const path = `${bin}${delimiter}${process.env.PATH ?? ""}`;
  const child = spawn(join(bin, tool), args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, PATH: path },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  stopWithParent(() => child.kill("SIGTERM"));
  child.on("error", (error) =>
    fail(`${tool} could not be started (${error.message}). Delete node_modules and run this again.`),
  );
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

// npm may be killed in a way that it can't pass on: then nobody is left to want the result.
function stopWithParent(stop) {
  setInterval(() => process.ppid !== parent && stop(), 500).unref();
}

function say(line) {
  process.stderr.write(`tandem: ${line}\n`);
}

function fail(line) {
  say(line);
  process.exit(1);
}
