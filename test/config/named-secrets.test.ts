import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/config/config-error.ts";
import { readSecret } from "../../src/config/named-secrets.ts";
import { Secret } from "../../src/oci/secret.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const read = (source: Parameters<typeof readSecret>[0], environment: Record<string, string> = {}) => readSecret(source, { name: "token.static", environment });

describe("a secret", () => {
  test("comes from where it was put, without the file's last line break", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "secret");
    await writeFile(path, " pass word \r\n");
    expect((await read({ kind: "file", path })).reveal()).toBe(" pass word ");
    expect((await read({ kind: "environment", variable: "P" }, { P: "p" })).reveal()).toBe("p");
    expect((await read({ kind: "given", secret: new Secret("g") })).reveal()).toBe("g");
  });

  test("that is not there is a configuration error that names the key", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "empty");
    await writeFile(path, "\n");
    await expect(read({ kind: "file", path })).rejects.toThrow(new ConfigError([`token.staticFile: ${path} is empty`]));
    await expect(read({ kind: "file", path: `${path}.none` })).rejects.toThrow(`token.staticFile: cannot read ${path}.none: no such file`);
    await expect(read({ kind: "environment", variable: "P" })).rejects.toThrow("token.staticFromEnv: the environment has no P");
  });
});
