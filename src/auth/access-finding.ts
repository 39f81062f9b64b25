/** AccessFinding: something to be said about a key of the access rules, before it is known in which file and line it stands. */

export interface AccessFinding {
  /** From `accessControl` on. */
  readonly path: AccessPath;
  /** Begins with the key's name. */
  readonly message: string;
}

export type AccessPath = readonly (string | number)[];

/** `accessControl.repositories["infra/*"].policies[0]` */
export function keyName(path: AccessPath): string {
  const words = path.map((key) => (typeof key === "number" ? `[${key}]` : /^[A-Za-z_]\w*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`));
  return words.join("").slice(1);
}
