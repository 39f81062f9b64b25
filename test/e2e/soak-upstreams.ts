/** The registries of a soak: one that is always well, others of which one after the other falls ill, each in every way. */
import { randomInt } from "node:crypto";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { digestOf, type Digest } from "../../src/oci/digest.ts";
import { parseManifest, type Manifest } from "../../src/oci/manifest.ts";
import { startFakeTokenService, type FakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildArtifact, describe, seededBytes } from "../support/images.ts";
import type { Quirk } from "../support/quirks.ts";
import type { RecordingServer } from "../support/recording-server.ts";

/** A registry, with an image that everybody holds from the start. */
export interface SoakUpstream {
  readonly alias: string;
  readonly upstream: FakeUpstream;
  /** It never falls ill: whatever is asked of it has to succeed. */
  readonly isWell: boolean;
  readonly hot: SoakImage;
}

/** An image whose bytes come out of seeds, so that they need not be kept. */
export interface SoakImage {
  readonly alias: string;
  readonly repository: string;
  readonly tag: string;
  readonly manifest: Manifest;
  readonly blobs: readonly SoakBlob[];
}

export interface SoakBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly seed: string;
}

const kibibyte = 1024;
const hotSizesBytes = [0, 1_000, 64 * kibibyte, 64 * kibibyte + 1, 1024 * kibibyte, 4096 * kibibyte];
export const hotTags = ["1", "2", "3"];
export const movingTag = "moving";

const illnesses: Readonly<Record<string, Quirk | "refuses">> = {
  refuses: "refuses",
  "is silent": { silent: "before headers" },
  "sends headers only": { silent: "after headers" },
  "hangs up": { drop: true },
  "cuts bodies": { cutAfterBytes: () => randomInt(1, 300 * kibibyte) },
  "sends wrong bytes": { wrongBytes: true },
  "answers 429": { status: 429, headers: { "retry-after": "2" } },
  "answers 503": { status: 503 },
  "is slow": { bytesPerSecond: 100 * kibibyte },
  "answers with a page": { status: 200, headers: { "content-type": "text/html" }, body: "<!doctype html><title>down</title>" },
  "ignores ranges": { ranges: "ignored" },
};

/** Starts four: a plain one, one with a CDN, one with a token service, and the one that is always well. Dispose of them. */
export async function startSoakUpstreams(): Promise<SoakUpstreams> {
  const [plain, redirecting, guarded, well, tokens] = await Promise.all([
    startFakeUpstream(),
    startFakeUpstream({ redirectsBlobs: true }),
    startFakeUpstream(),
    startFakeUpstream(),
    startFakeTokenService(),
  ]);
  guarded.authentication = { kind: "bearer", tokens };
  return new SoakUpstreams({ plain, redirecting, guarded, well, tokens });
}

export class SoakUpstreams implements AsyncDisposable {
  readonly all: readonly SoakUpstream[];
  readonly #tokens: FakeTokenService;
  readonly #places: readonly { readonly name: string; readonly server: RecordingServer }[];
  readonly #movingDigests = new Set<string>();
  #turns = 0;
  #heal: () => Promise<void> | void = () => {};

  constructor({ tokens, ...upstreams }: { tokens: FakeTokenService } & Readonly<Record<"plain" | "redirecting" | "guarded" | "well", FakeUpstream>>) {
    this.#tokens = tokens;
    this.all = Object.entries(upstreams).map(([alias, upstream]) => ({ alias, upstream, isWell: alias === "well", hot: putHot(alias, upstream) }));
    const { plain, redirecting, guarded } = upstreams;
    this.#places = Object.entries({ plain, redirecting, cdn: redirecting.cdn, guarded, tokens }).map(([name, server]) => ({ name, server }));
    this.moveTags();
  }

  /** What the server is told of them. */
  registries(): readonly object[] {
    return this.all.map(({ alias, upstream }) => ({ name: upstream.host, scheme: "http", aliases: [alias] }));
  }

  /** The last patient is well again and the next one falls ill. Five places and eleven illnesses: all pairs come in turn. */
  async nextTurn(): Promise<string> {
    await this.recover();
    const turn = this.#turns++;
    const place = this.#places[turn % this.#places.length];
    const [illness = "", quirk = "refuses"] = Object.entries(illnesses)[turn % Object.keys(illnesses).length] ?? [];
    if (!place) throw new Error("there is no place that could fall ill");
    const { server } = place;
    if (quirk === "refuses") {
      await server.refuse();
      this.#heal = () => server.accept();
    } else {
      this.#heal = server.when({}, quirk);
    }
    return `${place.name} ${illness}`;
  }

  /** From now on everybody is well. */
  async recover(): Promise<string> {
    await this.#heal();
    this.#heal = () => {};
    // What expires in the world expires here with every turn; and nobody keeps what was recorded for an hour.
    this.#tokens.expireAll();
    for (const { upstream } of this.all) upstream.cdn.expireAll();
    for (const server of [this.#tokens, ...this.all.flatMap(({ upstream }) => [upstream, upstream.cdn])]) server.forget();
    return "nobody";
  }

  /** Gives each registry's moving tag another meaning. */
  moveTags(): void {
    for (const { alias, upstream } of this.all) {
      const manifest = imageManifest([], { moved: `${alias} ${this.#movingDigests.size}` });
      this.#movingDigests.add(upstream.putManifest("team/app", movingTag, manifest.bytes));
    }
  }

  /** True of the bytes of any meaning that a moving tag ever had. */
  wasMoving(bytes: Uint8Array): boolean {
    return this.#movingDigests.has(digestOf(bytes));
  }

  /** Holds a new image upstream, of blobs that nobody has seen. */
  putCold({ alias, upstream }: SoakUpstream, number: number, sizesBytes: readonly number[]): SoakImage {
    const repository = `cold/app-${Math.floor(number / 20)}`;
    const tag = `t${number}`;
    const blobs = sizesBytes.map((sizeBytes, at) => putBlob(upstream, repository, sizeBytes, `cold ${number} ${at}`));
    const manifest = imageManifest(blobs.map(({ described }) => described));
    upstream.putManifest(repository, tag, manifest.bytes);
    return { alias, repository, tag, manifest, blobs: blobs.map(({ blob }) => blob) };
  }

  /** What is held here by now need not be there any longer. */
  forgetCold({ alias, repository, tag, manifest, blobs }: SoakImage): void {
    const upstream = this.all.find((one) => one.alias === alias)?.upstream;
    upstream?.removeTag(repository, tag);
    for (const digest of [manifest.descriptor.digest, ...blobs.map((blob) => blob.digest)]) upstream?.remove(repository, digest);
  }

  /** Cuts every connection; whoever comes back is served. */
  async cutConnections(): Promise<void> {
    const servers = [this.#tokens, ...this.all.flatMap(({ upstream }) => [upstream, upstream.cdn])];
    for (const server of servers) await server.refuse();
    for (const server of servers) await server.accept();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#tokens.close(), ...this.all.map(({ upstream }) => upstream.close())]);
  }
}

function putHot(alias: string, upstream: FakeUpstream): SoakImage {
  const blobs = hotSizesBytes.map((sizeBytes) => putBlob(upstream, "team/app", sizeBytes, `hot ${alias} ${sizeBytes}`));
  const manifest = imageManifest(blobs.map(({ described }) => described));
  for (const tag of hotTags) upstream.putManifest("team/app", tag, manifest.bytes);
  upstream.putImage("team/app", undefined, buildArtifact(manifest));
  return { alias, repository: "team/app", tag: "1", manifest, blobs: blobs.map(({ blob }) => blob) };
}

function putBlob(upstream: FakeUpstream, repository: string, sizeBytes: number, seed: string): { blob: SoakBlob; described: object } {
  const bytes = seededBytes(sizeBytes, seed);
  const digest = upstream.putBlob(repository, bytes);
  return { blob: { digest, sizeBytes, seed }, described: describe(mediaTypes.ociLayerGzip, bytes) };
}

function imageManifest(layers: readonly object[], annotations: Readonly<Record<string, string>> = {}): Manifest {
  const config = describe("application/vnd.oci.empty.v1+json", Buffer.from("{}"));
  return parseManifest(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers, annotations })));
}
