/** Whether an error of node:fs says that a file or folder isn't there. */
export function isMissing(error: unknown): boolean {
  // ENOTDIR: where a folder on the way should be, there is a file.
  return ["ENOENT", "ENOTDIR"].includes(codeOf(error) ?? "");
}

/** Whether an error of node:fs says that a file or folder is there already. */
export function isPresent(error: unknown): boolean {
  return codeOf(error) === "EEXIST";
}

/** Whether an error of node:fs says that the system doesn't allow it. */
export function isForbidden(error: unknown): boolean {
  return ["EACCES", "EPERM", "EROFS"].includes(codeOf(error) ?? "");
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error && "code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
