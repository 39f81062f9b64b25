/**
 * AuthFiles: where docker and podman look for what they show to registries: their files, and the programs that docker's file may name. A file is
 * exchanged whole, is for its owner alone, and one that cannot be understood stays as it is.
 */
import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import { access, constants, mkdir, open, readlink, realpath, rename, rm, stat } from "node:fs/promises";
import { homedir, userInfo } from "node:os";
import { dirname, join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { eraseStoredLogin, findStoredLogin, storeLogin, type StoreOptions } from "../credential-stores.ts";
import { isErrno } from "../oci/errno.ts";
import {
  emptyAuthFile,
  entriesOf,
  entryOf,
  findHelper,
  findLogins,
  parseAuthFile,
  withEntries,
  type AuthFileText,
  type Members,
  type ShownLogin,
} from "./auth-file-text.ts";

/** Where logins are kept. */
export interface AuthPlace {
  readonly path: string;
  /** Whether its `credsStore` counts: docker's does. */
  readonly hasStore: boolean;
  /** Whether one can do without it: who reads it reads another file too. */
  readonly isOptional: boolean;
}

/** Files are small; one that is larger is something else. */
const authFileBytesMax = 4 << 20;
const linksMax = 40;
/** For its owner to read and write; one that said less goes on saying less. */
const ownMode = 0o600;

/** `$DOCKER_CONFIG/config.json`, or the one in `~/.docker`. */
export function dockerPlace(environment: NodeJS.ProcessEnv): AuthPlace {
  const folder = saidIn(environment, "DOCKER_CONFIG") ?? join(homeIn(environment), ".docker");
  return { path: join(folder, "config.json"), hasStore: true, isOptional: false };
}

/** `$REGISTRY_AUTH_FILE`, or where podman, skopeo and buildah look by themselves: containers-auth.json(5). */
export function podmanPlace(environment: NodeJS.ProcessEnv, platform: NodeJS.Platform = process.platform): AuthPlace {
  const said = saidIn(environment, "REGISTRY_AUTH_FILE");
  if (said !== undefined) return { path: said, hasStore: false, isOptional: false };
  const runtime = saidIn(environment, "XDG_RUNTIME_DIR");
  const folder =
    platform === "linux"
      ? runtime === undefined
        ? join("/run/containers", String(userInfo().uid))
        : join(runtime, "containers")
      : join(homeIn(environment), ".config", "containers");
  return { path: join(folder, "auth.json"), hasStore: false, isOptional: true };
}

/** What a place has for a host. */
export interface NotedLogin {
  /** In the file, by name. */
  readonly entries: Members;
  /** With the program that the file names. */
  readonly stored: { readonly helper: string; readonly login: ShownLogin | undefined } | undefined;
}

/** Makes sure that it can be read, from a program too, and exchanged. Throws the system's error, an Error that names a file that is none, and what the program lacks. */
export async function prepare(place: AuthPlace, host: string, options: StoreOptions): Promise<void> {
  await noteLogin(place, host, options);
  const folder = dirname(await targetOf(place.path));
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await access(folder, constants.W_OK);
}

/** What is there now. Throws as `prepare`. */
export async function noteLogin({ path, hasStore }: AuthPlace, host: string, options: StoreOptions): Promise<NotedLogin> {
  const file = await readAuthFile(path);
  const helper = findHelper(file, host, { hasStore });
  const stored = helper === undefined ? undefined : { helper, login: await findStoredLogin(helper, host, options) };
  return { entries: entriesOf(file, host), stored };
}

/** Makes it what it was when it was noted. Throws as `prepare`. */
export async function restoreLogin({ path }: AuthPlace, host: string, { entries, stored }: NotedLogin, options: StoreOptions): Promise<void> {
  if (stored && !isDeepStrictEqual(await findStoredLogin(stored.helper, host, options), stored.login))
    await (stored.login ? storeLogin(stored.helper, host, stored.login, options) : eraseStoredLogin(stored.helper, host, options));
  const file = await readAuthFile(path);
  if (!isDeepStrictEqual(entriesOf(file, host), entries)) await writeAuthFile(path, withEntries(file, host, entries));
}

/** Keeps `login` for `host`: where, in words. Throws as `prepare`. */
export async function keepLogin({ path, hasStore }: AuthPlace, host: string, login: ShownLogin, options: StoreOptions): Promise<string> {
  const helper = findHelper(await readAuthFile(path), host, { hasStore });
  if (helper !== undefined) await storeLogin(helper, host, login, options);
  // The program may have had to ask somebody: what others wrote meanwhile stays.
  const file = await readAuthFile(path);
  // An entry beside a program is as docker has it; an older one of the same name would be taken by others.
  if (helper === undefined || hasStore || Object.keys(entriesOf(file, host)).length > 0)
    await writeAuthFile(path, withEntries(file, host, { [host]: entryOf(helper === undefined ? login : "elsewhere") }));
  return helper === undefined ? path : `docker-credential-${helper}, which ${path} names`;
}

/** All that is kept for `host` and is a name and a password. Throws as `prepare`. */
export async function findKeptLogins({ path, hasStore }: AuthPlace, host: string, options: StoreOptions): Promise<readonly ShownLogin[]> {
  const file = await readAuthFile(path);
  const stored = await findStored(findHelper(file, host, { hasStore }), file, host, options);
  return [...stored.values(), ...findLogins(file, host)];
}

/** Takes out what is kept for `host`: whether there was anything. Throws as `prepare`. */
export async function dropLogin({ path, hasStore }: AuthPlace, host: string, options: StoreOptions): Promise<boolean> {
  const before = await readAuthFile(path);
  const helper = findHelper(before, host, { hasStore });
  const stored = await findStored(helper, before, host, options);
  if (helper !== undefined) for (const name of stored.keys()) await eraseStoredLogin(helper, name, options);
  // Read again: see `keepLogin`.
  const file = await readAuthFile(path);
  if (Object.keys(entriesOf(file, host)).length === 0) return stored.size > 0;
  await writeAuthFile(path, withEntries(file, host, {}));
  return true;
}

/** What the program, if there is one, has for `host`, by each name that the file has for that. */
async function findStored(helper: string | undefined, file: AuthFileText, host: string, options: StoreOptions): Promise<ReadonlyMap<string, ShownLogin>> {
  const stored = new Map<string, ShownLogin>();
  if (helper === undefined) return stored;
  for (const name of new Set([host, ...Object.keys(entriesOf(file, host))])) {
    const login = await findStoredLogin(helper, name, options);
    if (login) stored.set(name, login);
  }
  return stored;
}

async function readAuthFile(path: string): Promise<AuthFileText> {
  try {
    // Without waiting for whoever writes into a pipe of that name.
    await using opened = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = await opened.stat();
    const file = found.isFile() && found.size <= authFileBytesMax ? parseAuthFile(await opened.readFile("utf8")) : undefined;
    if (!file) throw new Error(`${path} is no file of docker's or podman's: it is left as it is; mend it, or move it away`);
    return file;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return emptyAuthFile;
    throw error;
  }
}

/** A link stays one: what it leads to is exchanged. Whose it was, his it stays: root may log in for somebody. */
async function writeAuthFile(path: string, text: string): Promise<void> {
  const target = await targetOf(path);
  const folder = dirname(target);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const former = await findStat(target);
  const temporary = join(folder, `.${randomUUID()}.tmp`);
  try {
    {
      await using file = await open(temporary, "wx", (former?.mode ?? ownMode) & ownMode);
      if (former && userInfo().uid === 0) await file.chown(former.uid, former.gid);
      await file.writeFile(text);
      await file.sync();
    }
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    // Named after the file that people know, and not after ours beside it.
    throw error instanceof Error && "code" in error ? Object.assign(error, { path: target }) : error;
  }
}

async function findStat(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Where a path leads, though there may be nothing yet. */
async function targetOf(path: string, links = 0): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
  try {
    const next = resolve(dirname(path), await readlink(path));
    if (links >= linksMax) throw new Error(`${path}: links in a circle`);
    return await targetOf(next, links + 1);
  } catch (error) {
    if (isErrno(error, "ENOENT", "EINVAL")) return resolve(path);
    throw error;
  }
}

/** What is empty is not said. */
function saidIn(environment: NodeJS.ProcessEnv, name: string): string | undefined {
  const value = environment[name];
  return value === "" ? undefined : value;
}

function homeIn(environment: NodeJS.ProcessEnv): string {
  return saidIn(environment, "HOME") ?? homedir();
}
