// Plays scenarios, one after the other: node driver-process.ts SUBJECT URL DIRECT_URL SCENARIO…
import { playScenario, type ScenarioName, scenarios } from "./driver-scenarios.ts";
import { subjectNames } from "./driver-subjects.ts";

const [subjectName, url = "", directUrl = "", ...names] = process.argv.slice(2);
const subject = subjectNames.find((each) => each === subjectName);
if (subject === undefined) throw new Error(`Nobody knows ${subjectName}.`);
for (const name of names) {
  if (!isScenario(name)) throw new Error(`Nobody knows "${name}".`);
  const report = await playScenario(name, { subject, url, directUrl });
  process.stdout.write(`${JSON.stringify({ name, report })}\n`);
}
// What hangs, and what is still connected, would keep it.
process.exit(0);

function isScenario(text: string): text is ScenarioName {
  return Object.hasOwn(scenarios, text);
}
