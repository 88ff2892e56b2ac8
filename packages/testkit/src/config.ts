/** The environment of this process without what would make a child part of the test run. */
export function environmentForChildren(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env);
  return Object.fromEntries(
    entries.filter(([name]) => name !== "NODE_OPTIONS" && name !== "NODE_ENV" && !name.startsWith("VITEST")),
  );
}
