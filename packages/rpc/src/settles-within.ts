/** Whether some work was settled within a time. It fails as the work does; what is late goes on unwatched. */
export async function settlesWithin(work: PromiseLike<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<false>((resolve) => (timer = setTimeout(resolve, timeoutMs, false)));
  const settled = Promise.resolve(work).then(() => true);
  return Promise.race([settled, timeUp]).finally(() => clearTimeout(timer));
}
