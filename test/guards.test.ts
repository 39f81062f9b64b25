/** What clients are told apart by, exchanged while its files change. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadConfig } from "../src/config/load.ts";
import { Guards } from "../src/guards.ts";
import { Background } from "../src/oci/background.ts";
import { systemClock } from "../src/oci/clock.ts";
import { silentLog } from "../src/oci/log.ts";
import { RegistryNames } from "../src/oci/registry-names.ts";
import { htpasswdLine } from "./support/htpasswd-lines.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

test("a user who leaves the file while a reload prepares is out when the reload is done", async () => {
  await using folder = await temporaryFolder();
  const [users, configFile] = [join(folder.path, "users"), join(folder.path, "config.yaml")];
  const [alice, bob] = [htpasswdLine("alice", "one", { cost: 4 }), htpasswdLine("bob", "two", { cost: 4 })];
  await writeFile(users, `${alice}\n${bob}\n`, { mode: 0o600 });
  const names = new RegistryNames({ defaultNs: "docker.io", registries: [] });
  const load = async (failDelay: string) => {
    await writeFile(configFile, JSON.stringify({ statePath: join(folder.path, "state"), auth: { failDelay, htpasswd: { path: users } } }));
    return (await loadConfig({ environment: {}, flags: new Map([["configFile", configFile]]) })).config;
  };
  const guards = new Guards({ environment: {}, clock: systemClock, log: silentLog, background: new Background(silentLog), names: () => names });
  await guards.adopt(await guards.prepare(await load("1s"), names));
  const prepared = await guards.prepare(await load("2s"), names);
  await writeFile(users, `${bob}\n`, { mode: 0o600 });
  await guards.reloadPasswords(); // The file was seen to have changed, and those who are asked now were told.
  await guards.adopt(prepared);
  expect(prepared.methods?.htpasswd?.stampOf("alice")).toBeUndefined();
  expect(prepared.methods?.htpasswd?.stampOf("bob")).toBeDefined();
  await guards.close();
});
