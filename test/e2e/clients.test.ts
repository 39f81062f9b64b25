/**
 * Real clients, a real upstream, our real process: a multi-arch image pulled in every URL form that the clients send. Cold, warm,
 * with the upstream killed, and again after our own restart.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { containerdClient, dockerClient, podmanClient, pushLayout, skopeoClient, type Client } from "../support/container-clients.ts";
import { startDockerRegistry, type DockerRegistry } from "../support/docker-registry.ts";
import { buildImage, buildIndex, writeImageLayout, type BuiltIndex } from "../support/images.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

interface Form {
  readonly name: string;
  readonly programs: readonly string[];
  readonly needsRoot?: boolean;
  /** Where the image lies at the upstream, and how the client names it. */
  readonly repository: string;
  readonly reference: (host: string) => string;
  readonly client: (folder: string, host: string) => Promise<Client>;
}

const dockerHubForm = (name: string) => ({ repository: `library/${name}`, reference: () => `docker.io/library/${name}:1` });

const forms: readonly Form[] = [
  {
    name: "skopeo, alias in the path",
    programs: ["skopeo"],
    repository: "team/skopeo-alias",
    reference: (host) => `${host}/up/team/skopeo-alias:1`,
    client: (folder) => skopeoClient(folder),
  },
  {
    name: "skopeo, host in the path",
    programs: ["skopeo"],
    repository: "library/skopeo-host",
    reference: (host) => `${host}/docker.io/library/skopeo-host:1`,
    client: (folder) => skopeoClient(folder),
  },
  {
    name: "skopeo, no registry at all",
    programs: ["skopeo"],
    repository: "library/skopeo-bare",
    reference: (host) => `${host}/skopeo-bare:1`,
    client: (folder) => skopeoClient(folder),
  },
  {
    name: "skopeo, mirror with docker.io in its path",
    programs: ["skopeo"],
    ...dockerHubForm("skopeo-mirror"),
    client: (folder, host) => skopeoClient(folder, { mirror: `${host}/docker.io` }),
  },
  {
    name: "podman, alias in the path",
    programs: ["podman"],
    needsRoot: true,
    repository: "a/b/c/d/e",
    reference: (host) => `${host}/up/a/b/c/d/e:1`,
    client: (folder) => podmanClient(folder),
  },
  {
    name: "podman, mirror with docker.io in its path",
    programs: ["podman"],
    needsRoot: true,
    ...dockerHubForm("podman-mirror"),
    client: (folder, host) => podmanClient(folder, { mirror: `${host}/docker.io` }),
  },
  {
    name: "podman, mirror without a path",
    programs: ["podman"],
    needsRoot: true,
    ...dockerHubForm("podman-plain"),
    client: (folder, host) => podmanClient(folder, { mirror: host }),
  },
  {
    name: "ctr, hosts.toml",
    programs: ["containerd", "ctr"],
    needsRoot: true,
    ...dockerHubForm("ctr"),
    client: (folder, host) => containerdClient(folder, { url: `http://${host}` }),
  },
  {
    name: "ctr, hosts.toml with override_path",
    programs: ["containerd", "ctr"],
    needsRoot: true,
    ...dockerHubForm("ctr-override"),
    client: (folder, host) => containerdClient(folder, { url: `http://${host}/v2/docker.io`, overridePath: true }),
  },
  {
    name: "ctr, hosts.toml with /docker.io",
    programs: ["containerd", "ctr"],
    needsRoot: true,
    ...dockerHubForm("ctr-prefix"),
    client: (folder, host) => containerdClient(folder, { url: `http://${host}/docker.io` }),
  },
  {
    name: "docker, registry-mirrors",
    programs: ["dockerd", "docker"],
    needsRoot: true,
    ...dockerHubForm("docker"),
    client: (folder, host) => dockerClient(folder, { mirrorUrl: `http://${host}` }),
  },
];

const canRun = requirePrograms("docker-registry", "skopeo");
const runnable = forms.filter((form) => requirePrograms(...form.programs) && (!form.needsRoot || requireRoot()));

describe.runIf(canRun)("a multi-arch image", () => {
  const images = new Map<string, BuiltIndex>();
  const clients = new Map<string, Client>();
  let folder: TemporaryFolder;
  let upstream: DockerRegistry;
  let server: OurServer;

  beforeAll(async () => {
    folder = await temporaryFolder();
    upstream = await startDockerRegistry({ folder: await subfolder("upstream") });
    for (const form of runnable) {
      const platforms = ["linux/amd64", "linux/arm64"];
      const index = buildIndex(
        platforms.map((platform) => buildImage({ platform, layers: [{ "etc/name": form.name }, { "etc/other": `other ${form.name}` }] })),
      );
      const layout = await subfolder(`layout/${form.repository}`);
      await writeImageLayout(layout, "1", index);
      await pushLayout(layout, "1", `${upstream.host}/${form.repository}:1`);
      images.set(form.name, index);
    }
    server = await startServer(0);
    // Short names: podman refuses a runroot of more than 50 characters, and a socket's path may have 107.
    for (const [at, form] of runnable.entries()) clients.set(form.name, await form.client(await subfolder(`c${at}`), server.host));
  }, 120_000);

  afterAll(async () => {
    await Promise.allSettled([...clients.values()].map((client) => client[Symbol.asyncDispose]()));
    await server?.[Symbol.asyncDispose]();
    await upstream?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  describe.each(runnable)("by $name", (form) => {
    test("is pulled: each blob costs the upstream one request, and pulled again: none", async () => {
      const before = upstream.requests.length;
      expect(await pullBy(form)).toContain(digestFor(form));
      const coldBlobs = blobRequests(upstream.requests.slice(before));
      expect(coldBlobs.length).toBeGreaterThanOrEqual(3);
      expect(new Set(coldBlobs).size).toBe(coldBlobs.length);
      expect(await pullBy(form)).toContain(digestFor(form));
      expect(blobRequests(upstream.requests.slice(before))).toEqual(coldBlobs);
    });
  });

  describe("with the upstream killed", () => {
    beforeAll(async () => {
      await upstream.process.kill("SIGKILL");
    });

    test.each(runnable)("is still pulled by $name", async (form) => {
      expect(await pullBy(form)).toContain(digestFor(form));
    });

    test("is still pulled by all of them after our restart, and no answer takes a second", async () => {
      const { port } = server;
      await server.process.kill();
      server = await startServer(port);
      for (const form of runnable) expect(await pullBy(form), form.name).toContain(digestFor(form));
      const requests = requestLines(server);
      expect(requests.length).toBeGreaterThan(runnable.length);
      expect(requests.filter(({ status, ms }) => status >= 400 || ms >= 1000)).toEqual([]);
    });
  });

  async function subfolder(name: string): Promise<string> {
    const path = join(folder.path, name);
    await mkdir(path, { recursive: true });
    return path;
  }

  async function startServer(port: number): Promise<OurServer> {
    const config = {
      port,
      tagTtl: "0s", // Every pull asks upstream: an outage is met by each of them.
      unlistedRegistries: "deny",
      registries: [
        { name: upstream.host, scheme: "http", aliases: ["up"] },
        { name: "docker.io", endpoints: [upstream.url], originFallback: false },
      ],
    };
    return startOurServer({ folder: await subfolder("server"), config });
  }

  async function pullBy(form: Form): Promise<string> {
    const client = clients.get(form.name);
    if (!client) throw new Error(`no client for ${form.name}`);
    return client.pull(form.reference(server.host));
  }

  function digestFor(form: Form): string {
    return images.get(form.name)?.manifest.descriptor.digest ?? "no image";
  }
});

function blobRequests(requests: readonly string[]): readonly string[] {
  return requests.filter((line) => line.startsWith("GET ") && line.includes("/blobs/"));
}

interface RequestLine {
  readonly status: number;
  readonly ms: number;
}

function requestLines(server: OurServer): readonly RequestLine[] {
  const lines = server.process.output.split("\n").filter((line) => line.includes('"msg":"request"'));
  return lines.map((line) => JSON.parse(line) as RequestLine); // The request line's contract: decided in docs/operating.md.
}
