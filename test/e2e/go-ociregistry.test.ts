/**
 * The Go ociregistry's documented commands and requests, line by line as its users have them in their scripts: each does what its documents
 * say, and where the program itself does not, ours does. One store, one server, one upstream; lines that remove come last.
 */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, buildIndex } from "../support/images.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { runLine, type Outcome } from "../cli/captured-io.ts";

const run = promisify(execFile);
const typha = buildIndex(["linux/amd64", "linux/arm64"].map((platform) => buildImage({ platform, layers: [{ typha: platform }] })));
const dashboard = buildImage({ layers: [{ dashboard: "v2.7.0" }] });
const curl = buildImage({ layers: [{ curl: "1" }] });
const cilium = buildImage({ layers: [{ cilium: "1" }] });

let folder: TemporaryFolder;
let upstream: FakeUpstream;
let server: OurServer;

beforeAll(async () => {
  folder = await temporaryFolder();
  upstream = await startFakeUpstream();
  upstream.putImage("calico/typha", "v3.27.0", typha);
  upstream.putImage("kubernetesui/dashboard", "v2.7.0", dashboard);
  upstream.putImage("curlimages/curl", "8.11.1", curl);
  upstream.putImage("cilium/cilium", "V1.0-RC1", cilium);
  const list = [
    "docker.io/calico/typha:v3.27.0",
    "docker.io/kubernetesui/dashboard:v2.7.0",
    "# a comment",
    "docker.io/curlimages/curl:8.11.1",
    "quay.io/cilium/cilium:V1.0-RC1",
  ];
  await writeFile(`${folder.path}/imagelist`, `${list.join("\n")}\n`);
  const registries = ["docker.io", "quay.io"].map((name) => ({ name, endpoints: [upstream.url], originFallback: false }));
  server = await startOurServer({ folder: folder.path, config: { registries, adminApi: "loopback", os: "linux", arch: "amd64", tagTtl: "1h" } });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await upstream.close();
  await folder[Symbol.asyncDispose]();
});

/** A command line of theirs; `imagelist` and the configuration are where this test has them. */
function command(line: string): Promise<Outcome> {
  return runLine(line.replace("bin/ociregistry", `--config-file ${server.configFile}`).replace("imagelist", `${folder.path}/imagelist`));
}

/** A line with curl, as it stands there but for the host. */
async function request(line: string): Promise<string> {
  const [, ...words] = line.replace("http://hostname:8080", server.url).split(" ");
  return (await run("curl", ["--silent", ...words])).stdout;
}

async function held(): Promise<readonly string[]> {
  return (await command("bin/ociregistry list")).out
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/\s+/).slice(0, 2).join(":"))
    .toSorted();
}

const everything = [
  "docker.io/calico/typha:v3.27.0",
  "docker.io/curlimages/curl:8.11.1",
  "docker.io/kubernetesui/dashboard:v2.7.0",
  "quay.io/cilium/cilium:V1.0-RC1",
];

const commands: readonly (readonly [line: string, code: number, out: RegExp])[] = [
  ["bin/ociregistry load --image-file imagelist", 0, /loaded\s+docker\.io\/calico\/typha:v3\.27\.0/],
  ["bin/ociregistry load --image-file imagelist", 0, /held\s+docker\.io\/calico\/typha:v3\.27\.0/],
  ["bin/ociregistry load --image-file imagelist --os linux --arch amd64 --pull-timeout 90000", 0, /held/],
  ["bin/ociregistry list", 0, /^docker\.io\/calico\/typha +v3\.27\.0 +list /],
  ["bin/ociregistry list --header", 0, /^IMAGE.*TAG.*TYPE.*CREATED.*PULLED.*SIZE/],
  ["bin/ociregistry list --pattern calico,cilium", 0, /^(?=[\s\S]*typha)(?=[\s\S]*cilium)(?![\s\S]*curl)/],
  ["bin/ociregistry list --header=false --short-digest=true", 0, /^(?!IMAGE)/],
  [
    "bin/ociregistry prune --pattern kubernetesui/dashboard:v2.7.0 --dry-run",
    0,
    /^would prune docker\.io\/kubernetesui\/dashboard:v2\.7\.0 .*\n1 image would be pruned/,
  ],
  ["bin/ociregistry prune --pattern docker.io --dry-run", 0, /\n3 images would be pruned/],
  ["bin/ociregistry prune --pattern curl,cilium --dry-run=true", 0, /\n2 images would be pruned/],
  ["bin/ociregistry prune --date 2024-03-01T22:17:31 --dry-run", 0, /^0 images would be pruned/],
  ["bin/ociregistry prune --date 2099-03-01T22:17:31 --dry-run", 0, /\n4 images would be pruned/],
  ["bin/ociregistry version", 0, /^\S+/],
  ["bin/ociregistry serve --help", 0, /--preload-images/],
];

describe("commands", () => {
  test.each(commands)("%s", async (line, code, out) => {
    const outcome = await command(line);
    expect([outcome.code, outcome.out, outcome.errors]).toEqual([code, expect.stringMatching(out), expect.any(String)]);
  });

  test("after all of these everything is held: a dry run removes nothing", async () => {
    expect(await held()).toEqual(everything);
  });
});

const requests: readonly (readonly [line: string, out: RegExp])[] = [
  [
    "curl http://hostname:8080/cmd/image/list?pattern=docker.io&count=10",
    /^URL DIGEST CREATED PULLED\n(?=[\s\S]*typha)(?=[\s\S]*\n- sha256:)(?![\s\S]*quay\.io)/,
  ],
  ["curl http://hostname:8080/cmd/blob/list?substr=" + curl.config.slice(7, 15) + "&count=10", new RegExp(`^URL REFCNT\\n${curl.config} 1\\n$`)],
  ["curl http://hostname:8080/cmd/manifest/list?pattern=calico,cilium&count=10", /^(?=[\s\S]*typha:v3\.27\.0)(?=[\s\S]*cilium:V1\.0-RC1)(?![\s\S]*curl)/],
  ["curl -X DELETE http://hostname:8080/cmd/prune?type=created&dur=10d&count=50&dryRun=true", /^would prune 0 images, 0 bytes\n$/],
  ["curl -X DELETE http://hostname:8080/cmd/prune?type=pattern&expr=foo,calico&dryRun=true", /^would prune docker\.io\/calico\/typha:v3\.27\.0 /],
  ["curl -X DELETE http://hostname:8080/cmd/prune?type=accessed&dur=30d&dryrun=true", /^would prune 0 images, 0 bytes\n$/],
];

describe("requests", () => {
  test.each(requests)("%s", async (line, out) => {
    expect(await request(line)).toMatch(out);
  });
});

describe("what its users trip over", () => {
  test("REST: dryRun is false unless it is said, as its documents have it; an index takes its manifests along", async () => {
    expect(await request("curl -X DELETE http://hostname:8080/cmd/prune?type=pattern&expr=calico")).toMatch(/^pruned docker\.io\/calico\/typha:v3\.27\.0 /);
    expect(await request("curl http://hostname:8080/cmd/manifest/list?pattern=calico&count=-1")).toBe("no manifests found\n");
    for (const digest of typha.images.flatMap(({ layers }) => layers))
      expect(await request(`curl http://hostname:8080/cmd/blob/list?substr=${digest}`)).toBe("no blobs found\n");
    expect(server.process.output, "the log goes on where it was").toContain('"msg":"images pruned"');
  });

  test("CLI: a tag that is not latest takes its manifest and its layers along, while a server runs", async () => {
    expect(await command("bin/ociregistry prune --pattern kubernetesui/dashboard:v2.7.0 --dry-run=false")).toMatchObject({ code: 0 });
    for (const digest of [dashboard.config, ...dashboard.layers])
      expect(await request(`curl http://hostname:8080/cmd/blob/list?substr=${digest}`)).toBe("no blobs found\n");
    expect(await held()).toEqual(["docker.io/curlimages/curl:8.11.1", "quay.io/cilium/cilium:V1.0-RC1"]);
  });

  test("a date is one of the clock's that is meant, not off by the distance to UTC", async () => {
    const hourMs = 3_600_000;
    const at = (ms: number): string => new Date(ms).toISOString().slice(0, 19);
    const pruned = async (zone: string, ms: number): Promise<string> =>
      (await command(`bin/ociregistry prune --pattern curl --date ${at(ms)} --timezone ${zone} --dry-run`)).out;
    expect(await pruned("UTC", Date.now() - hourMs)).toMatch(/^0 images/);
    expect(await pruned("UTC", Date.now() + hourMs)).toMatch(/\n1 image would be pruned/);
    // Five hours behind: what its clock shows in four hours' time is nine hours from now in UTC.
    expect(await pruned("Etc/GMT+5", Date.now() - 4 * hourMs)).toMatch(/\n1 image would be pruned/);
    expect(await pruned("Etc/GMT+5", Date.now() - 6 * hourMs)).toMatch(/^0 images/);
  });

  test("configuration: a documented dryRun: true removes nothing", async () => {
    const config = { imagePath: server.imagePath, pruneConfig: { enabled: true, type: "pattern", expr: "curl", dryRun: true } };
    await using other = await temporaryFolder();
    await using scheduled = await startOurServer({
      folder: other.path,
      config: { ...config, pruneConfig: { ...config.pruneConfig, schedule: "* * * * * *" } },
    });
    await scheduled.process.waitForOutput(/"msg":"images would be pruned"/);
    expect(await held()).toContain("docker.io/curlimages/curl:8.11.1");
  });

  test("GET /cmd/stop needs more than to be there: without adminApi it is refused", async () => {
    await using other = await temporaryFolder();
    await using closed = await startOurServer({ folder: other.path, config: { imagePath: server.imagePath } });
    expect((await fetch(`${closed.url}/cmd/stop`)).status).toBe(403);
    expect((await fetch(`${closed.url}/healthz`)).status).toBe(200);
  });
});

test("curl http://hostname:8080/cmd/stop stops the server", async () => {
  expect(await request("curl http://hostname:8080/cmd/stop")).toBe("stopping\n");
  expect(await server.process.ended).toMatchObject({ code: 0 });
});
