/** KeyPath: the way to a key from the top of a configuration, and how it is written for people. */

export type KeyPath = readonly (string | number)[];

const plainKey = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** `registries[0].auth.user`; a key that is no word is quoted: `tagTtl["registry.k8s.io/**"]`. */
export function formatKeyPath(path: KeyPath): string {
  return path.reduce<string>((written, key) => {
    if (typeof key === "number") return `${written}[${key}]`;
    if (!plainKey.test(key)) return `${written}[${JSON.stringify(key)}]`;
    return written === "" ? key : `${written}.${key}`;
  }, "");
}
