import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { globalFlags, normalizeSwitches, serveFlags } from "../../src/cli/flag-table.ts";
import { flagOf } from "../../src/config/flags.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { runLine } from "./captured-io.ts";

describe("a command line that makes no sense ends with 2 and one line", () => {
  test.each([
    ["config chek", /unknown command 'chek' \(Did you mean check\?\)/],
    ["serve --prot 1", /unknown option '--prot' \(Did you mean --port\?\)/],
    ["serve more", /too many arguments for 'serve'/],
    ["serve --port", /option '--port <PORT>' argument missing/],
    ["serve --hello-world=yes", /unknown option '--hello-world=yes'/],
    ["serve --port 80x", /--port: port is "80x", which is not a whole number/],
    ["serve --air-gapped --pull-timeout=soon", /--pull-timeout: pullTimeout is "soon"/],
    ["serve --arch a/b/c", /--arch: arch: "a\/b\/c" is no word of a platform/],
    ["load", /load wants to know what: --image-file images.txt/],
    ["load --image-file x --jobs 0", /--jobs: "0" is not a whole number from 1 to 64/],
    ["load --image-file x --platform arm64", /--platform: "arm64" is not os\/arch/],
    ["--log-level loud config check", /--log-level: logLevel is "loud", which is none of/],
    ["health --url ftp://x", /--url: "ftp:\/\/x" is not an http or https url/],
    ["--port 1 serve", /unknown option '--port'/],
  ])("%s", async (line, expected) => {
    const { code, out, errors } = await runLine(line);
    expect(errors).toMatch(expected);
    expect(errors).toMatch(/^ociregistry: [^\n]+\n$/);
    expect({ code, out }).toEqual({ code: 2, out: "" });
  });

  test("a command line that says nothing shows help", async () => {
    const { code, out, errors } = await runLine("");
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(errors).toContain("Usage: ociregistry");
  });
});

describe("help", () => {
  test.each(["--help", "serve --help", "serve -h", "health --help", "config check --help", "config schema --help", "version --help"])(
    "%s: worked examples, within 80 columns, to stdout",
    async (line) => {
      const { code, out, errors } = await runLine(line);
      expect({ code, errors }).toEqual({ code: 0, errors: "" });
      expect(out).toMatch(/\nExamples:\n {2}(\w+=\w+ )?ociregistry /);
      expect(Math.max(...out.split("\n").map((text) => text.length))).toBeLessThanOrEqual(80);
    },
  );

  test("serve --help names every flag, and no --no- forms", async () => {
    const { out } = await runLine("serve --help");
    for (const { key } of [...globalFlags, ...serveFlags]) expect(out).toContain(`${flagOf(key)} `);
    expect(out).not.toContain("--no-");
  });
});

describe("flags", () => {
  test("global ones go before or after the command, with a space or =", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "c.yaml");
    await writeFile(file, "");
    for (const line of [`--config-file ${file} config check`, `config --config-file=${file} check`, `config check --config-file ${file}`]) {
      expect(await runLine(line)).toMatchObject({ code: 0, out: expect.stringContaining(`${file}: good\n`) });
    }
  });

  test("those without a value take =true and =false, others do not", () => {
    expect(
      normalizeSwitches(["serve", "--hello-world=true", "--air-gapped=False", "--always-pull-latest", "--log-file=true", "--", "--air-gapped=true"]),
    ).toEqual(["serve", "--hello-world", "--no-air-gapped", "--always-pull-latest", "--log-file=true", "--", "--air-gapped=true"]);
  });
});

test("version prints the version", async () => {
  expect(await runLine("version")).toEqual({ code: 0, out: expect.stringMatching(/^ociregistry \d+\.\d+\.\d+\n$/), errors: "" });
  expect(await runLine("--version")).toEqual({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), errors: "" });
});

describe("config check", () => {
  const check = async (text: string, environment: Record<string, string> = {}) => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "config.yaml");
    await writeFile(file, text);
    const { code, out, errors } = await runLine(`config check --config-file ${file}`, environment);
    return { code, out: out.replaceAll(`${folder.path}/`, ""), errors: errors.replaceAll(`${folder.path}/`, "") };
  };

  test("on an island says that nobody is asked", async () => {
    expect((await check("airGapped: true\n")).out).toBe("config.yaml: good\nair-gapped: nobody is asked, only what is held is served\n");
  });

  test("says good, and what holds for unlisted registries", async () => {
    expect(await check("registries: [{ name: quay.io, auth: { user: u, password: p } }]\n")).toEqual({
      code: 0,
      out: "config.yaml: good\nunlisted registries: denied (there are credentials for quay.io)\n",
      errors: "",
    });
  });

  test("says everything that is wrong, a line each, and ends with 1", async () => {
    expect(await check("prt: 1\nlogLevel: loud\n")).toEqual({
      code: 1,
      out: "",
      errors:
        'ociregistry: config.yaml:1: unknown key prt, did you mean port? (line 1)\nociregistry: config.yaml:2: logLevel is "loud", which is none of error, warn, info, debug\n',
    });
  });

  test("only notes what the configuration names and is not there", async () => {
    const { code, errors } = await check("registries: [{ name: quay.io, tls: { ca: /nowhere/ca.pem }, auth: { user: u, passwordFromEnv: NOBODY } }]\n");
    expect(code).toBe(0);
    expect(errors).toBe(
      "ociregistry: notice: registries[0].tls.ca: cannot read /nowhere/ca.pem: no such file\nociregistry: notice: registries[0].auth.passwordFromEnv: the environment has no NOBODY\n",
    );
  });

  test("a file that is not there ends with 1", async () => {
    expect(await runLine("config check --config-file /nowhere/c.yaml")).toEqual({
      code: 1,
      out: "",
      errors: "ociregistry: /nowhere/c.yaml: cannot read the configuration: no such file\n",
    });
  });

  test("without a file, the environment is checked", async () => {
    expect(await runLine("config check", { OCIREGISTRY_PORT: "x" })).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/^ociregistry: OCIREGISTRY_PORT: port is "x"/),
    });
    expect(await runLine("config check", { OCIREGISTRY_HELLO_WORLD: "true" })).toMatchObject({ code: 0 });
  });
});

test("config schema prints a JSON Schema that knows the keys and their defaults", async () => {
  const { code, out, errors } = await runLine("config schema");
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  expect(JSON.parse(out)).toMatchObject({
    $schema: "https://json-schema.org/draft/2020-12/schema",
    additionalProperties: false,
    properties: { port: { default: 8080, description: expect.any(String) }, registries: { items: { required: ["name"], properties: { name: {} } } } },
  });
});
