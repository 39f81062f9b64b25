import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/config/config-error.ts";
import { findMissing, namedFiles, readSecret, readTlsTexts } from "../../src/config/named-files.ts";
import { Secret } from "../../src/oci/secret.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { loadText } from "./load-text.ts";

describe("files that a configuration names", () => {
  test("are listed with the key that names them, mirrors' included", async () => {
    const { config } = await loadText(`
serverTlsConfig: { cert: s.crt, key: s.key }
registries:
  - name: quay.io
    tls: { ca: q.pem }
    endpoints: ["https://a", { url: "https://b", auth: { user: u, passwordFile: b.txt } }]
`);
    expect(namedFiles(config)).toEqual([
      { key: "serverTlsConfig.cert", path: "s.crt" },
      { key: "serverTlsConfig.key", path: "s.key" },
      { key: "registries[0].tls.ca", path: "q.pem" },
      { key: "registries[0].endpoints[1].auth.passwordFile", path: "b.txt" },
    ]);
  });

  test("are missing, a line each, and so are variables", async () => {
    const { config } = await loadText("registries: [{ name: quay.io, tls: { ca: /nowhere/q.pem }, auth: { user: u, passwordFromEnv: QUAY } }]");
    expect(await findMissing(config, {})).toEqual([
      "registries[0].tls.ca: cannot read /nowhere/q.pem: no such file",
      "registries[0].auth.passwordFromEnv: the environment has no QUAY",
    ]);
    expect(await findMissing(config, { QUAY: "x" })).toHaveLength(1);
  });

  test("a password comes from where it was put, without the file's last line break", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "password");
    await writeFile(path, " pass word \r\n");
    expect((await readSecret({ kind: "file", path }, {})).reveal()).toBe(" pass word ");
    expect((await readSecret({ kind: "environment", variable: "P" }, { P: "p" })).reveal()).toBe("p");
    expect((await readSecret({ kind: "given", secret: new Secret("g") }, {})).reveal()).toBe("g");
  });

  test("a password that is not there is a configuration error", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "empty");
    await writeFile(path, "\n");
    await expect(readSecret({ kind: "file", path }, {})).rejects.toThrow(ConfigError);
    await expect(readSecret({ kind: "file", path: `${path}.none` }, {})).rejects.toThrow("no such file");
    await expect(readSecret({ kind: "environment", variable: "P" }, {})).rejects.toThrow("the environment has no P");
  });

  test("PEM files are read where they are named", async () => {
    await using folder = await temporaryFolder();
    const ca = join(folder.path, "ca.pem");
    await writeFile(ca, "PEM");
    expect(await readTlsTexts({ ca })).toEqual({ ca: "PEM", cert: undefined, key: undefined });
    await expect(readTlsTexts({ cert: folder.path })).rejects.toThrow("it is a folder");
  });
});
