/** What a user who talks to the database has to do for a guard. */
export function assertGuard(count: number | null, changes: number | undefined): void {
  if (changes === undefined || count === changes) return;
  throw new Error(`A step changed ${count} rows, where ${changes} had to be changed.`);
}
