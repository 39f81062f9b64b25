/** The first pull of somebody with no network at all: hello-world comes out of the program. */
import { join } from "node:path";
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { startCanary } from "../support/canary.ts";
import { skopeoClient } from "../support/container-clients.ts";
import { startOurServer } from "../support/our-server.ts";
import { requirePrograms } from "../support/programs.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test.runIf(requirePrograms("skopeo"))("skopeo copies hello-world from a server that reaches nobody", async () => {
  await using folder = await temporaryFolder();
  await using canary = await startCanary();
  const config = { registries: [{ name: "docker.io", endpoints: [`http://${canary.host}`], originFallback: false }] };
  await using server = await startOurServer({ folder: folder.path, config, env: { OCIREGISTRY_HELLO_WORLD: "true" } });
  const skopeo = await skopeoClient(folder.path);
  for (const name of ["library/hello-world:latest", "docker.io/library/hello-world:latest", "hello-world"]) {
    expect(await skopeo.pull(`${server.host}/${name}`)).toMatch(/^sha256:/);
  }
  const manifest: unknown = JSON.parse(await readFile(join(folder.path, "copied", "manifest.json"), "utf8"));
  expect(manifest).toMatchObject({ schemaVersion: 2 });
  expect(canary.connections).toBe(0);
});
