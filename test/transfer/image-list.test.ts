import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { repositoryName } from "../../src/oci/repository.ts";
import { readImageLists, type ImageLists } from "../../src/transfer/image-list.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const digest = `sha256:${"a".repeat(64)}`;
const names = new RegistryNames({
  defaultNs: "docker.io",
  registries: [{ name: "registry.corp.example:5000", scheme: "https", aliases: ["corp"] }],
});

/** What `text`, in a file called `list`, asks for: `host/path:tag@digest (line)`. */
async function read(text: string): Promise<{ images: readonly string[]; problems: readonly string[] }> {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "list");
  await writeFile(file, text);
  return told(await readImageLists([file], { names }));
}

function told({ references, problems }: ImageLists): { images: readonly string[]; problems: readonly string[] } {
  return {
    images: references.map(
      ({ repository, tag, digest: named, line }) => `${repositoryName(repository)}${tag ? `:${tag}` : ""}${named ? `@${named}` : ""} (${line})`,
    ),
    problems: problems.map(({ line, message }) => `${line}: ${message}`),
  };
}

test("reads a text list: comments, short names, ports, aliases, digests, with or without a tag", async () => {
  const { images, problems } = await read(`\uFEFF# images of the cluster\r
docker.io/library/alpine:3.20\r
nginx   # the newest

team/app:V1.0-RC1
localhost:5000/a/b:1
corp/base:2
quay.io/team/app@${digest}
quay.io/team/app:1.2@${digest}
a.example/one/two/three/four/five.six:1
nginx:latest
`);
  expect(problems).toEqual([]);
  expect(images).toEqual([
    "docker.io/library/alpine:3.20 (2)",
    "docker.io/library/nginx:latest (3)",
    "docker.io/team/app:V1.0-RC1 (5)",
    "localhost:5000/a/b:1 (6)",
    "registry.corp.example:5000/base:2 (7)",
    `quay.io/team/app@${digest} (8)`,
    `quay.io/team/app:1.2@${digest} (9)`,
    "a.example/one/two/three/four/five.six:1 (10)",
  ]);
});

test("what a digest and a tag beside it mean is the digest", async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "list"), `quay.io/team/app:1.2@${digest}\n`);
  const { references } = await readImageLists([join(folder.path, "list")], { names });
  expect(references[0]?.reference).toEqual({ kind: "digest", digest });
});

test("a bad line is told with its number, and the rest goes on", async () => {
  const { images, problems } = await read("alpine:1\nUPPER/Case:1\na:b:c\nfoo@sha256:short\nbusybox:2\n");
  expect(images).toEqual(["docker.io/library/alpine:1 (1)", "docker.io/library/busybox:2 (5)"]);
  expect(problems.map((problem) => problem.slice(0, 2))).toEqual(["2:", "3:", "4:"]);
  expect(problems[0]).toContain('"UPPER/Case" is not a repository name');
});

test("reads pod specs of any kind, in several documents, and no status", async () => {
  const { images, problems } = await read(`---
# Source: chart/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      initContainers:
        - name: init
          image: "busybox:1.36"
      containers:
        - name: app
          image: quay.io/team/app:1
          env:
            - name: RELATED_IMAGE_SIDECAR
              value: quay.io/team/sidecar:9
      volumes:
        - name: model
          image:
            reference: quay.io/team/model:3
---
apiVersion: batch/v1
kind: CronJob
spec:
  jobTemplate:
    spec:
      template:
        spec:
          containers: [{ name: job, image: quay.io/team/job:2 }]
---
apiVersion: monitoring.example/v1
kind: Prometheus
spec:
  image: quay.io/prometheus/prometheus:v3
  sidecar:
    image: { repository: quay.io/team/config, tag: v7 }
status:
  image: quay.io/seen/only:1
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  image: not/this:1
---
apiVersion: v1
kind: ConfigMap
data:
  note: |
    image: not/this/either:1
`);
  expect(problems).toEqual([]);
  expect(images).toEqual([
    "docker.io/library/busybox:1.36 (10)",
    "quay.io/team/app:1 (13)",
    "quay.io/team/sidecar:9 (16)",
    "quay.io/team/model:3 (20)",
    "quay.io/team/job:2 (29)",
    "quay.io/prometheus/prometheus:v3 (34)",
    "quay.io/team/config:v7 (36)",
  ]);
});

const podList = `apiVersion: v1
items:
- apiVersion: v1
  kind: Pod
  metadata:
    name: one
  spec:
    containers:
    - image: registry.k8s.io/pause:3.10
      name: pause
  status:
    containerStatuses:
    - image: registry.k8s.io/pause:seen
      imageID: registry.k8s.io/pause@sha256:0
- apiVersion: v1
  kind: Pod
  spec:
    containers:
    - image: registry.k8s.io/pause:3.10
    - image: quay.io/team/app:1
kind: List
metadata:
  resourceVersion: ""
`;

test("reads what kubectl get pods -A -o yaml prints, each image once", async () => {
  expect(await read(podList)).toEqual({ images: ["registry.k8s.io/pause:3.10 (9)", "quay.io/team/app:1 (20)"], problems: [] });
});

test("of what stands in such a list only images count: not texts, not what was seen; lists, variables and flow included", async () => {
  const { images, problems } = await read(`apiVersion: v1
items:
- apiVersion: v1
  data:
    note: |
      image: not/this:1
      spec:
        image: not/this:2
  kind: ConfigMap
- apiVersion: apps/v1
  kind: Deployment
  metadata:
    annotations:
      text: "image: not/this:3"
  spec:
    template:
      spec:
        containers:
        - args:
          - --images
          - x
          command: ["a", "b"]
          env:
          - name: RELATED_IMAGE_OTHER
            value: quay.io/team/other:1
          image: quay.io/team/app:1
          name: app
        - {name: flow, image: quay.io/team/flow:1}
        initContainers:
        - image: quay.io/team/init:1
        volumes:
        - image:
            pullPolicy: Always
            reference: quay.io/team/volume:1
  status:
    image: not/this:4
- apiVersion: x/v1
  kind: Other
  spec:
    base: &base quay.io/team/anchored:1
    image: *base
kind: List
`);
  expect(problems).toEqual([]);
  expect(images.toSorted()).toEqual([
    "quay.io/team/anchored:1 (40)",
    "quay.io/team/app:1 (26)",
    "quay.io/team/flow:1 (28)",
    "quay.io/team/init:1 (30)",
    "quay.io/team/other:1 (25)",
    "quay.io/team/volume:1 (33)",
  ]);
});

test("one item of such a list that is damaged does not cost the others", async () => {
  const { images, problems } = await read(podList.replace("  kind: Pod\n  spec", "  kind: 'Pod\n  spec"));
  expect(images).toEqual(["registry.k8s.io/pause:3.10 (9)"]);
  expect(problems).toEqual([expect.stringMatching(/^\d+: not YAML: /)]);
});

test("reads the same as JSON", async () => {
  const json = {
    apiVersion: "v1",
    kind: "List",
    items: [{ apiVersion: "v1", kind: "Pod", spec: { containers: [{ image: "quay.io/team/app:1" }] }, status: { image: "quay.io/no:1" } }],
  };
  expect(await read(JSON.stringify(json, undefined, 2))).toEqual({ images: ["quay.io/team/app:1 (11)"], problems: [] });
});

test("reads a list of thousands of pods in a second or two, and not all of it at once", async () => {
  const pod = podList.split("\n").slice(2, 14).join("\n");
  const many = Array.from({ length: 5_000 }, (_, index) => pod.replace(":3.10", `:${index}`)).join("\n");
  const startedAtMs = performance.now();
  const { images } = await read(`apiVersion: v1\nitems:\n${many}\nkind: List\n`);
  expect(images).toHaveLength(5_000);
  expect(performance.now() - startedAtMs).toBeLessThan(20_000);
});

test("reads a compose file, anchors and defaults of variables included", async () => {
  const { images, problems } = await read(`services:
  web:
    image: nginx:\${NGINX_TAG:-1.27}
  api: &api
    image: &app quay.io/team/api:4
  worker:
    <<: *api
    command: work
  copy:
    image: *app
  built:
    build: .
  unset:
    image: redis:\${REDIS_TAG}
`);
  expect(images).toEqual(["docker.io/library/nginx:1.27 (3)", "quay.io/team/api:4 (5)"]);
  expect(problems).toEqual(["14: redis:${REDIS_TAG} holds a variable that has no default: write what it stands for"]);
});

test("reads Hauler's and Zarf's lists, oc-mirror's, and a plain list in YAML", async () => {
  const hauler =
    "apiVersion: content.hauler.cattle.io/v1\nkind: Images\nspec:\n  images:\n    - name: rancher/rke2:v1\n      platform: linux/amd64\n    - name: quay.io/a/b:2\n";
  expect((await read(hauler)).images).toEqual(["docker.io/rancher/rke2:v1 (5)", "quay.io/a/b:2 (7)"]);
  const zarf = "kind: ZarfPackageConfig\nmetadata:\n  name: x\ncomponents:\n  - name: c\n    images:\n      - ghcr.io/a/b:1\n      - nginx:2\n";
  expect((await read(zarf)).images).toEqual(["ghcr.io/a/b:1 (7)", "docker.io/library/nginx:2 (8)"]);
  const mirror = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  additionalImages:\n    - name: quay.io/a/c:3\n";
  expect((await read(mirror)).images).toEqual(["quay.io/a/c:3 (5)"]);
  expect((await read("- nginx:1\n- quay.io/a/b:2 # second\n")).images).toEqual(["docker.io/library/nginx:1 (1)", "quay.io/a/b:2 (2)"]);
});

test("a chart's values that leave the tag open are told, not guessed", async () => {
  const { images, problems } = await read("image:\n  repository: nginx\n  tag: ''\n");
  expect(images).toEqual([]);
  expect(problems).toEqual([expect.stringContaining("nginx has neither a tag nor a digest here")]);
});

test("brackets without end are a problem, not the end of the program", async () => {
  const { images, problems } = await read(`image: ${"[".repeat(100_000)}`);
  expect(images).toEqual([]);
  expect(problems).toHaveLength(1);
});

test("takes files, globs, folders and stdin, with commas between, and tells archives apart", async () => {
  await using folder = await temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  await mkdir(at("lists"));
  await mkdir(at("layout"));
  await writeFile(at("layout/oci-layout"), "{}");
  await writeFile(at("a.txt"), "a/a:1\n");
  await writeFile(at("b.txt"), "b/b:1\n");
  await writeFile(at("lists/c"), "c/c:1\n");
  await writeFile(at("images.tar.gz"), gzipSync("x"));
  await writeFile(at("images.tar"), Buffer.concat([Buffer.alloc(257), Buffer.from("ustar\u000000"), Buffer.alloc(1000)]));
  await writeFile(at("program"), Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0, 0]));
  async function* input(): AsyncGenerator<Uint8Array> {
    yield Buffer.from("kind: Pod\nspec:\n  containers:\n  - ima");
    yield Buffer.from("ge: d/d:1\n");
  }
  const sources = [`${at("*.txt")}, ${at("lists")},-`, at("images.tar*"), at("layout"), at("program"), at("nothing.txt"), at("a.txt"), at("none*")];
  const lists = await readImageLists(sources, { names, standardInput: input });
  expect(lists.references.map(({ repository, file, line }) => `${repository.path} ${file.replace(folder.path, "")}:${line}`)).toEqual([
    "a/a /a.txt:1",
    "b/b /b.txt:1",
    "c/c /lists/c:1",
    "d/d -:4",
  ]);
  expect(lists.archives.map((file) => file.replace(folder.path, ""))).toEqual(["/images.tar", "/images.tar.gz", "/layout"]);
  expect(lists.problems.map(({ file, message }) => `${file.replace(folder.path, "")}: ${message}`)).toEqual([
    "/program: neither text nor an archive of images",
    "/nothing.txt: no such file",
    "/none*: no such file",
  ]);
});

test("words that no registry can be are told apart from a registry's", async () => {
  const { images, problems } = await read("under_score.example/app:1\nbare/app:1\n");
  expect(problems).toEqual(['1: "under_score.example" is not a registry\'s host[:port]']);
  expect(images).toEqual(["docker.io/bare/app:1 (2)"]);
});
