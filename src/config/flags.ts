/** Flags: how a key is spelt on the command line. */

/** `pullTimeout` is `--pull-timeout`. */
export function flagOf(key: string): string {
  return `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
