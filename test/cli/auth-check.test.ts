import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { CapturedIo, runLine } from "./captured-io.ts";
import { run } from "../../src/cli/program.ts";

const zotExample = join(import.meta.dirname, "../config/examples/zot-access-control.json");

const folders: TemporaryFolder[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await folder[Symbol.asyncDispose]();
});

/** The arguments that name a configuration with this text. */
async function configured(text: string): Promise<string> {
  const folder = await temporaryFolder();
  folders.push(folder);
  const file = join(folder.path, "config.yaml");
  await writeFile(file, text);
  return `--config-file ${file}`;
}

const withGroups = `
defaultNs: docker.io
registries:
  - { name: docker.io, aliases: [hub] }
  - { name: ghcr.io }
auth: { htpasswd: { path: /nowhere/htpasswd } }
accessControl:
  fetch: byAction
  groups: { ops: { users: [root] } }
  repositories:
    "**": { defaultPolicy: [read] }
    "library/*": { policies: [{ groups: [dev, "cn=dev,dc=example"], actions: [read, fetch] }], anonymousPolicy: [read] }
    "ghcr.io/team/**": { policies: [{ groups: [ops], actions: [read], conditions: [{ expression: 'req.tag != "latest" && req.client.ip != "192.0.2.1"', message: not so }] }] }
`;

describe("auth check", () => {
  test.each([
    ["--user zed --repository ghcr.io/other", 'zed may read ghcr.io/other: repositories["**"].defaultPolicy', 0],
    ["--repository alpine", 'somebody without a name may read docker.io/library/alpine: repositories["library/*"].anonymousPolicy', 0],
    ["--repository hub/alpine", 'somebody without a name may read docker.io/library/alpine: repositories["library/*"].anonymousPolicy', 0],
    ["--user zed --repository docker.io/library/alpine", 'zed may not read docker.io/library/alpine: repositories["library/*"].defaultPolicy', 1],
    [
      "--user zed --groups a,dev --repository library/alpine --action fetch",
      'zed may fetch docker.io/library/alpine: repositories["library/*"].policies[0]',
      0,
    ],
    ["--user zed --groups cn=dev,dc=example --repository alpine", 'zed may read docker.io/library/alpine: repositories["library/*"].policies[0]', 0],
    ["--user zed --groups a --groups dev --repository alpine", 'zed may read docker.io/library/alpine: repositories["library/*"].policies[0]', 0],
    ["--user zed --repository a/b --action fetch", 'zed may not fetch docker.io/a/b: repositories["**"].defaultPolicy', 1],
    ["--user root --repository ghcr.io/team/app --reference v1", 'root may read ghcr.io/team/app: repositories["ghcr.io/team/**"].policies[0]', 0],
    [
      "--user root --repository ghcr.io/team/app --reference latest",
      'root may not read ghcr.io/team/app: repositories["ghcr.io/team/**"].defaultPolicy (not so)',
      1,
    ],
    [
      "--user root --repository ghcr.io/team/app --client 192.0.2.1",
      'root may not read ghcr.io/team/app: repositories["ghcr.io/team/**"].defaultPolicy (not so)',
      1,
    ],
    // Not listed, so that the server takes it for a part of the path.
    ["--user zed --repository quay.io/a/b", 'zed may read docker.io/quay.io/a/b: repositories["**"].defaultPolicy', 0],
  ])("%s", async (question, answer, code) => {
    expect(await runLine(`auth check ${await configured(withGroups)} ${question}`)).toEqual({ code, out: `${answer}\n`, errors: "" });
  });

  test("prints JSON", async () => {
    const { code, out } = await runLine(`auth check ${await configured(withGroups)} --user root --groups x --repository hub/alpine --json`);
    expect(code).toBe(1);
    expect(JSON.parse(out)).toEqual({
      allowed: false,
      user: "root",
      groups: ["x", "ops"],
      action: "read",
      repository: "docker.io/library/alpine",
      policyName: "library/alpine",
      rule: 'repositories["library/*"].defaultPolicy',
    });
  });

  test("answers by zot's own example, and tells what of it means nothing", async () => {
    const { code, out, errors } = await runLine(`auth check --config-file ${zotExample} --user bob --repository docker.io/infra/x --action delete`);
    expect({ code, out }).toEqual({ code: 0, out: 'bob may delete docker.io/infra/x: repositories["infra/*"].policies[0]\n' });
    expect(errors).toMatch(/^ociregistry: notice: .*zot-access-control.json:\d+: .* mean nothing yet/);
  });

  test("without accessControl whoever has a name may do all; without authentication everybody may", async () => {
    const guarded = await configured("auth: { htpasswd: { path: /nowhere } }");
    expect(await runLine(`auth check ${guarded} --user a --repository x`)).toMatchObject({
      code: 0,
      out: "a may read docker.io/library/x: no accessControl\n",
    });
    expect(await runLine(`auth check ${guarded} --repository x`)).toMatchObject({ code: 1 });
    expect(await runLine("auth check --repository x")).toMatchObject({ code: 0, out: expect.stringContaining("no method of authentication") });
  });

  test("a condition that cannot be evaluated is named", async () => {
    const text = `accessControl: { repositories: { "**": { policies: [{ users: [a], actions: [read], conditions: ['req.claims.x == "y"'] }] } } }`;
    const { out } = await runLine(`auth check ${await configured(text)} --user a --repository x/y`);
    expect(out).toBe('a may not read docker.io/x/y: repositories["**"].defaultPolicy (repositories["**"].policies[0].conditions[0] could not be evaluated)\n');
  });

  test("a question that makes no sense is a misuse", async () => {
    const file = await configured(withGroups);
    expect(await runLine(`auth check ${file}`)).toMatchObject({ code: 2, errors: expect.stringContaining("--repository") });
    expect(await runLine(`auth check ${file} --repository x --action write`)).toMatchObject({ code: 2, errors: 'ociregistry: "write" is not an action\n' });
    expect(await runLine(`auth check ${file} --repository A/../b`)).toMatchObject({ code: 2, errors: expect.stringContaining("is not a repository name") });
    const io = new CapturedIo();
    expect(await run(["auth", "check", "--repository", "x", "--user", ""], io)).toBe(2);
    expect(io.errors).toContain("empty name");
  });
});

describe("rules that cannot be used", () => {
  const broken = `
accessControl:
  repositories:
    "": { anonymousPolicy: [read] }
    "**":
      defaultPolicy: [write]
`;

  test("are told with their lines, by auth check and by config check", async () => {
    const file = await configured(broken);
    for (const command of ["auth check --repository x", "config check"]) {
      const { code, out, errors } = await runLine(`${command} ${file}`);
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expect(errors).toMatch(/config.yaml:4: accessControl.repositories\[""\]: an empty pattern matches nothing\n/);
      expect(errors).toMatch(/config.yaml:6: accessControl.repositories\["\*\*"\].defaultPolicy\[0\]: "write" is not an action/);
    }
  });

  test("what is merely odd is a notice of config check", async () => {
    const { code, errors } = await runLine(`config check ${await configured('accessControl: { repositories: { "a/*b": {}, "a/b*": {} } }')}`);
    expect(code).toBe(0);
    expect(errors).toMatch(/notice: .*config.yaml:1: accessControl.repositories\["a\/b\*"\] is as long as "a\/\*b"/);
  });
});
