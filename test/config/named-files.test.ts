import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findMissing, namedFiles, readTlsTexts } from "../../src/config/named-files.ts";
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
      { key: "serverTlsConfig.cert", path: "s.crt", isSecret: false },
      { key: "serverTlsConfig.key", path: "s.key", isSecret: true },
      { key: "registries[0].tls.ca", path: "q.pem", isSecret: false },
      { key: "registries[0].endpoints[1].auth.passwordFile", path: "b.txt", isSecret: true },
    ]);
  });

  test("are those of every kind of credential, wherever one can stand", async () => {
    const { config } = await loadText(`
registries:
  - name: a.b
    auth: { token: { staticFile: t.txt } }
    endpoints: [{ url: "https://c", auth: { token: { provider: docker-config, providerOpts: { path: auth.json } } } }]
    credentials:
      - { match: g/**, auth: { token: { provider: gcp, providerOpts: { keyFile: key.json } } } }
      - { match: a/**, auth: { token: { provider: azure, providerOpts: { federatedTokenFile: azure.jwt } } } }
      - match: o/**
        auth:
          token:
            provider: oauth2
            providerOpts: { tokenUrl: "https://d/token", grant: jwt-bearer, assertionFile: o.jwt, clientId: c, clientSecretFile: c.txt }
`);
    expect(namedFiles(config).map(({ key, path }) => `${key}: ${path}`)).toEqual([
      "registries[0].auth.token.staticFile: t.txt",
      "registries[0].credentials[2].auth.token.providerOpts.clientSecretFile: c.txt",
      "registries[0].endpoints[0].auth.token.providerOpts.path: auth.json",
      "registries[0].credentials[0].auth.token.providerOpts.keyFile: key.json",
      "registries[0].credentials[1].auth.token.providerOpts.federatedTokenFile: azure.jwt",
      "registries[0].credentials[2].auth.token.providerOpts.assertionFile: o.jwt",
    ]);
    expect(await findMissing(config, {})).toHaveLength(6);
    expect(namedFiles(config).every(({ isSecret }) => isSecret)).toBe(true);
  });

  test("are missing, a line each, and so are variables", async () => {
    const { config } = await loadText("registries: [{ name: quay.io, tls: { ca: /nowhere/q.pem }, auth: { user: u, passwordFromEnv: QUAY } }]");
    expect(await findMissing(config, {})).toEqual([
      "registries[0].tls.ca: cannot read /nowhere/q.pem: no such file",
      "registries[0].auth.passwordFromEnv: the environment has no QUAY",
    ]);
    expect(await findMissing(config, { QUAY: "x" })).toHaveLength(1);
    const tokens = await loadText(`
registries:
  - { name: a.b, auth: { token: { staticFromEnv: STATIC } } }
  - { name: c.d, auth: { token: { provider: azure, providerOpts: { tenantId: t, clientId: c, clientSecretFromEnv: AZURE } } } }
`);
    expect(await findMissing(tokens.config, { AZURE: "" })).toEqual([
      "registries[0].auth.token.staticFromEnv: the environment has no STATIC",
      "registries[1].auth.token.providerOpts.clientSecretFromEnv: the environment has no AZURE",
    ]);
  });

  test("PEM files are read where they are named", async () => {
    await using folder = await temporaryFolder();
    const ca = join(folder.path, "ca.pem");
    await writeFile(ca, "PEM");
    expect(await readTlsTexts({ ca })).toEqual({ ca: "PEM", cert: undefined, key: undefined });
    await expect(readTlsTexts({ cert: folder.path })).rejects.toThrow("it is a folder");
  });
});
