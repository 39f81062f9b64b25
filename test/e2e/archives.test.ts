/**
 * Archives that the field's programs write, loaded by our command beside our running, air-gapped server, and pulled from there by another
 * program: what skopeo, podman, ctr and docker save is what a cluster without a network gets.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { readManifestContent } from "../../src/oci/manifest.ts";
import { layoutEntries, plainLayers } from "../support/archives.ts";
import { placePodman, podmanClient, skopeoClient, startContainerd, startDockerd } from "../support/container-clients.ts";
import { buildImage, buildIndex, writeImageLayout } from "../support/images.ts";
import { startOurServer, withoutOurVariables, type OurServer } from "../support/our-server.ts";
import { runProcess, type RunResult } from "../support/processes.ts";
import { findProgram, requirePrograms, requireRoot } from "../support/programs.ts";
import { tarOfEntries } from "../support/tar.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const amd64 = buildImage({ layers: [{ "etc/hello": "hello\n" }, { "usr/share/greeting": "good day\n".repeat(10_000) }] });
const index = buildIndex([amd64, buildImage({ platform: "linux/arm64" })]);
const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
const node = join(import.meta.dirname, "..", "..", "node_modules", ".bin", "node");

describe.runIf(requirePrograms("skopeo", "zstd", "gzip"))("beside a running server with no network", () => {
  let folder: TemporaryFolder;
  let server: OurServer;
  let layout: string;

  beforeAll(async () => {
    folder = await temporaryFolder();
    layout = join(folder.path, "layout");
    await writeImageLayout(layout, "1", index);
    server = await startOurServer({ folder: folder.path, config: { airGapped: true } });
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test("skopeo's oci-archive with every platform, within zstd", async () => {
    const file = await skopeo("oci-archive", "docker.io/team/skopeo-oci:1", "--all");
    await succeed("zstd", ["--quiet", "--rm", file]);
    expect(await load(`${file}.zst`)).toEqual([`docker.io/team/skopeo-oci:1 ${index.manifest.descriptor.digest}`]);
    await using client = await skopeoClient(folder.path);
    expect(await client.pull(`${server.host}/docker.io/team/skopeo-oci:1`)).toBe(index.manifest.descriptor.digest);
  });

  test("skopeo's oci-archive with a tag alone, under the name that the operator gives", async () => {
    const file = await skopeo("oci-archive", "1", "--all", "nameless");
    expect(await load(file, "--resolve-ref", "quay.io/team/named")).toEqual([`quay.io/team/named:1 ${index.manifest.descriptor.digest}`]);
    await using client = await skopeoClient(folder.path);
    expect(await client.pull(`${server.host}/quay.io/team/named:1`)).toBe(index.manifest.descriptor.digest);
  });

  test("skopeo's docker-archive, within gzip, by stdin", async () => {
    const file = await skopeo("docker-archive", "docker.io/team/skopeo-docker:1");
    const { stdout } = await succeed("sh", ["-c", 'gzip < "$0" | "$@"', file, ...loadCommand("-")], { env: withoutOurVariables() });
    await expectSaved("docker.io/team/skopeo-docker:1", loadedIn(stdout));
  });

  test("an OCI layout's folder", async () => {
    expect(await load(layout, "--resolve-ref", "registry.example.com/team/folder")).toEqual([
      `registry.example.com/team/folder:1 ${index.manifest.descriptor.digest}`,
    ]);
    await using client = await skopeoClient(folder.path);
    expect(await client.pull(`${server.host}/registry.example.com/team/folder:1`)).toBe(index.manifest.descriptor.digest);
  });

  test.runIf(requirePrograms("podman") && requireRoot())("podman's archives: docker's form, one image and several, and OCI's", async () => {
    const { env, common, policy } = await placePodman(folder.path);
    const podman = (...args: string[]): Promise<RunResult> => succeed("podman", [...common, ...args], { env });
    const input = await skopeo("docker-archive", "docker.io/team/podman-one:1", undefined, "for-podman");
    await podman("load", "--quiet", "--signature-policy", policy, "--input", input);
    await podman("tag", "docker.io/team/podman-one:1", "docker.io/team/podman-two:1");
    const [one, several, oci] = ["one", "several", "oci"].map((name) => join(folder.path, `podman-${name}.tar`)) as [string, string, string];
    await podman("save", "--quiet", "--output", one, "docker.io/team/podman-one:1");
    await podman("save", "--quiet", "--multi-image-archive", "--output", several, "docker.io/team/podman-one:1", "docker.io/team/podman-two:1");
    await podman("save", "--quiet", "--format", "oci-archive", "--output", oci, "docker.io/team/podman-one:1");
    await expectSaved("docker.io/team/podman-one:1", await load(one));
    const both = await load(several);
    expect(both.map((line) => line.split(" ", 1).join("")).toSorted()).toEqual(["docker.io/team/podman-one:1", "docker.io/team/podman-two:1"]);
    const [loaded = ""] = await load(oci);
    expect(loaded).toMatch(/^docker.io\/team\/podman-one:1 sha256:/);
    await using client = await podmanClient(folder.path);
    expect(await client.pull(`${server.host}/docker.io/team/podman-two:1`)).toMatch(/@sha256:/);
  });

  test.runIf(requirePrograms("containerd", "ctr") && requireRoot())("ctr's export, every platform and one", async () => {
    await using containerd = await startContainerd(folder.path);
    const name = "docker.io/team/ctr:1";
    const input = join(folder.path, "for-ctr.tar");
    await writeFile(input, tarOfEntries(layoutEntries([{ image: index, annotations: { "io.containerd.image.name": name } }])));
    await containerd.ctr("images", "import", "--all-platforms", "--no-unpack", input);
    const [all, one] = ["all", "one"].map((word) => join(folder.path, `ctr-${word}.tar`)) as [string, string];
    await containerd.ctr("images", "export", "--all-platforms", all, name);
    await containerd.ctr("images", "export", "--platform", "linux/amd64", one, name);
    for (const file of [one, all]) expect(await load(file)).toEqual([`${name} ${index.manifest.descriptor.digest}`]);
    await using client = await skopeoClient(folder.path);
    expect(await client.pull(`${server.host}/${name}`)).toBe(index.manifest.descriptor.digest);
  });

  test.runIf(requirePrograms("dockerd", "docker") && requireRoot())("docker save", async () => {
    const input = await skopeo("docker-archive", "team/docker:1", undefined, "for-docker");
    const file = join(folder.path, "docker-save.tar");
    await using dockerd = await startDockerd(folder.path);
    await dockerd.docker("load", "--quiet", "--input", input);
    await dockerd.docker("save", "--output", file, "team/docker:1");
    await expectSaved("docker.io/team/docker:1", await load(file));
  });

  /** Writes the layout's image as an archive of this form. */
  async function skopeo(form: string, name: string, all?: string, file = name.replaceAll(/[/:]/g, "-")): Promise<string> {
    const path = join(folder.path, `${file}.tar`);
    const overrides = ["--override-os", "linux", "--override-arch", "amd64"];
    await succeed("skopeo", [
      "--insecure-policy",
      ...overrides,
      "copy",
      "--quiet",
      ...(all === undefined ? [] : [all]),
      `oci:${layout}:1`,
      `${form}:${path}:${name}`,
    ]);
    return path;
  }

  /** What our command said that it loaded: names with their digests. */
  async function load(file: string, ...args: string[]): Promise<readonly string[]> {
    const [command, ...words] = loadCommand(file, ...args);
    return loadedIn((await succeed(command, words, { env: withoutOurVariables() })).stdout);
  }

  function loadCommand(file: string, ...args: string[]): [string, ...string[]] {
    return [node, main, "load", "--image-path", server.imagePath, "--image-file", file, ...args];
  }

  function loadedIn(stdout: string): readonly string[] {
    return stdout.split("\n").flatMap((line) => /^(?:loaded|held) +(\S+ sha256:\S+)/.exec(line)?.[1] ?? []);
  }

  /** Docker's form has no manifest: ours is over the config and the plain layers, and another client takes it. */
  async function expectSaved(name: string, loaded: readonly string[]): Promise<void> {
    const [, digest = ""] = loaded[0]?.split(" ") ?? [];
    expect(loaded).toEqual([`${name} ${digest}`]);
    await using client = await skopeoClient(folder.path);
    expect(await client.pull(`${server.host}/${name}`)).toBe(digest);
    const [repository = "", tag = ""] = name.split(":");
    const answer = await fetch(`${server.url}/v2/${repository}/manifests/${tag}`);
    const { blobs } = readManifestContent(new Uint8Array(await answer.arrayBuffer()));
    expect(blobs.map((blob) => blob.digest)).toEqual([amd64.config, ...plainLayers(amd64).map((bytes) => digestOf(bytes))]);
  }
});

async function succeed(command: string, args: readonly string[], options: Parameters<typeof runProcess>[2] = {}): Promise<RunResult> {
  const result = await runProcess(findProgram(command) ?? command, args, options);
  expect(`${command}: exit code ${String(result.code)} ${result.code === 0 ? "" : result.stderr}`).toBe(`${command}: exit code 0 `);
  return result;
}
