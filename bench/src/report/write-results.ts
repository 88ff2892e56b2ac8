import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Machine } from "./machine.ts";

const byDefault = fileURLToPath(new URL("../../results", import.meta.url));

/** Writes a run's results as text and as JSON, named after when and of which commit they are. Gives both paths. */
export async function writeResults(
  machine: Pick<Machine, "startedAt" | "commit">,
  results: {
    readonly kind: string;
    readonly folder: string | undefined;
    readonly markdown: string;
    readonly json: unknown;
  },
): Promise<readonly string[]> {
  const folder = results.folder ?? byDefault;
  await mkdir(folder, { recursive: true });
  const time = machine.startedAt.slice(0, 16).replace("T", "-").replace(":", "");
  const path = join(folder, `${time}-${machine.commit}${results.kind}`);
  await writeFile(`${path}.md`, results.markdown);
  await writeFile(`${path}.json`, `${JSON.stringify(results.json, undefined, 2)}\n`);
  return [`${path}.md`, `${path}.json`];
}
