/** What the system said of a call that failed, by its name (errno(3)). */

/** Whether it failed for one of these reasons. */
export function isErrno(error: unknown, ...codes: readonly string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && typeof error.code === "string" && codes.includes(error.code);
}
