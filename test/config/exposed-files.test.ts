/** Real files with real modes. A temporary folder is its owner's alone, so one that others may enter is made first. */
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findExposed } from "../../src/config/exposed-files.ts";
import { loadConfig } from "../../src/config/load.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const withPassword = "registries: [{ name: a.b, auth: { user: u, password: hunter2 } }]\n";

describe("files with secrets that everybody may read", () => {
  test("are told, each with its mode and the cure", async () => {
    await using folder = await openFolder();
    const file = join(folder.path, "token");
    await writeMode(file, "t", 0o644);
    const configFile = await writeMode(
      join(folder.path, "config.yaml"),
      `${withPassword}  # and\n`.replace("}]\n  # and", `}, { name: c.d, auth: { token: { staticFile: ${file} } } }]`),
      0o604,
    );
    expect(await exposedBy(configFile)).toEqual([
      `${configFile} holds a secret, and everybody on this machine may read it: chmod o-r ${configFile} (its mode is 0604)`,
      `registries[1].auth.token.staticFile: ${file} holds a secret, and everybody on this machine may read it: chmod o-r ${file} (its mode is 0644)`,
    ]);
  });

  test("are those of sessions too: their keys, and the password of Redis", async () => {
    await using folder = await openFolder();
    const keys = await writeMode(join(folder.path, "keys.json"), '{"hashKey":"h"}', 0o644);
    const driver = (url: string): string => `auth: { htpasswd: { path: /nowhere }, sessionKeysFile: ${keys}, sessionDriver: { name: redis, url: "${url}" } }\n`;
    const configFile = await writeMode(join(folder.path, "config.yaml"), driver("redis://:hunter2@redis.example.com"), 0o644);
    const ofKeys = `auth.sessionKeysFile: ${keys} holds a secret, and everybody on this machine may read it: chmod o-r ${keys} (its mode is 0644)`;
    expect(await exposedBy(configFile)).toEqual([expect.stringContaining(`${configFile} holds a secret`), ofKeys]);
    await writeFile(configFile, driver("redis://redis.example.com"));
    expect(await exposedBy(configFile)).toEqual([ofKeys]);
    await writeFile(configFile, driver("redis://:${PASSWORD}@redis.example.com"));
    expect(await exposedBy(configFile, { PASSWORD: "from-a-variable" })).toEqual([ofKeys]);
  });

  test("are none when only owner and group may read them, or nobody else may enter a folder above", async () => {
    await using folder = await openFolder();
    const configFile = await writeMode(join(folder.path, "config.yaml"), withPassword, 0o640);
    expect(await exposedBy(configFile)).toEqual([]);
    await chmod(configFile, 0o644);
    expect(await exposedBy(configFile)).toHaveLength(1);
    await chmod(folder.path, 0o750);
    expect(await exposedBy(configFile)).toEqual([]);
  });

  test("are none where no secret is in the file: nothing is secret, or a variable holds it", async () => {
    await using folder = await openFolder();
    const configFile = await writeMode(join(folder.path, "config.yaml"), withPassword.replace("hunter2", '"${PASSWORD}"'), 0o644);
    expect(await exposedBy(configFile, { PASSWORD: "from a variable" })).toEqual([]);
    await writeFile(configFile, "registries: [{ name: a.b, tls: { ca: /nowhere/ca.pem } }]\n");
    expect(await exposedBy(configFile)).toEqual([]);
  });

  test("are none in a mount of Kubernetes", async () => {
    await using folder = await openFolder();
    await mkdir(join(folder.path, "..2026"));
    await writeMode(join(folder.path, "..2026", "config.yaml"), withPassword, 0o644);
    await symlink("..2026", join(folder.path, "..data"));
    const configFile = join(folder.path, "config.yaml");
    await symlink(join("..data", "config.yaml"), configFile);
    expect(await exposedBy(configFile)).toEqual([]);
  });

  test("are told of where their real place is, when a link leads to them", async () => {
    await using folder = await openFolder();
    await using closed = await temporaryFolder();
    await symlink(await writeMode(join(folder.path, "real.yaml"), withPassword, 0o644), join(closed.path, "config.yaml"));
    expect(await exposedBy(join(closed.path, "config.yaml"))).toHaveLength(1);
  });
});

async function exposedBy(configFile: string, environment: Readonly<Record<string, string>> = {}): Promise<readonly string[]> {
  return findExposed(await loadConfig({ environment, flags: new Map([["configFile", configFile]]) }));
}

async function openFolder(): Promise<Awaited<ReturnType<typeof temporaryFolder>>> {
  const folder = await temporaryFolder();
  await chmod(folder.path, 0o755);
  return folder;
}

async function writeMode(path: string, text: string, mode: number): Promise<string> {
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
}
