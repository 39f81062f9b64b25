/** Files with secrets in them that every user of the machine may read. */
import { lstat, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { LoadedConfig } from "./load.ts";
import { namedFiles } from "./named-files.ts";

/** Where container runtimes put secrets: whoever sees that folder is inside the container already. */
const secretMounts = /^\/(?:var\/)?run\/secrets\//;

/** One line for each such file: the configuration itself when secrets stand in it, and what it names. A file that is not there is none. */
export async function findExposed({ config, holdsSecrets }: LoadedConfig): Promise<readonly string[]> {
  const own = config.configFile !== undefined && holdsSecrets ? [{ subject: config.configFile, path: config.configFile }] : [];
  const named = namedFiles(config).flatMap(({ key, path, isSecret }) => (isSecret ? [{ subject: `${key}: ${path}`, path }] : []));
  const lines = [...own, ...named].map(async ({ subject, path }) => {
    const mode = await exposedMode(path);
    return mode === undefined ? [] : [`${subject} holds a secret, and everybody on this machine may read it: chmod o-r ${path} (its mode is ${mode})`];
  });
  return [...new Set((await Promise.all(lines)).flat())];
}

/** The file's mode, when others may read it and come as far as to it. */
async function exposedMode(path: string): Promise<string | undefined> {
  try {
    const real = await realpath(path);
    if (secretMounts.test(path) || secretMounts.test(real) || (await isKubernetesMount(dirname(path)))) return undefined;
    const { mode } = await stat(real);
    return (mode & 0o004) !== 0 && (await isReachable(dirname(real))) ? (mode & 0o7777).toString(8).padStart(4, "0") : undefined;
  } catch {
    return undefined; // Who cannot look at it is told elsewhere that it is missing.
  }
}

/** Kubernetes sets the modes of its mounts itself, and shows them to nobody outside the pod. They have a link called `..data`. */
async function isKubernetesMount(folder: string): Promise<boolean> {
  try {
    return (await lstat(join(folder, "..data"))).isSymbolicLink();
  } catch {
    return false; // There is none.
  }
}

/** True when others may pass through `folder` and all above it. */
async function isReachable(folder: string): Promise<boolean> {
  const { mode } = await stat(folder);
  if ((mode & 0o001) === 0) return false;
  const parent = dirname(folder);
  return parent === folder || isReachable(parent);
}
