/**
 * PullingCrowd: clients that pull whole images, one after the other, two at a time the same one. When the server goes they wait and
 * try again. As soon as all who want an image have it, its registry has it no more: from then on it is ours to keep.
 */
import { digestOf, type Digest } from "../../src/oci/digest.ts";
import type { FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes, type BuiltImage } from "../support/images.ts";
import { pull, type PullResult } from "../support/raw-client.ts";

export interface PullingCrowdOptions {
  readonly upstream: FakeUpstream;
  /** `HOST:PORT/v2/ALIAS`: where the server has the upstream's repositories. */
  readonly base: string;
  /** Resolves when there is a server to ask. */
  readonly whenUp: () => Promise<void>;
  readonly pairs: number;
  /** Of a layer that is too large for the server's memory. */
  readonly layerBytes: number;
}

interface FinishedImage {
  readonly repository: string;
  readonly tag: string;
  readonly digests: readonly Digest[];
}

const repositories = ["app", "team/app", "team/base/image", "x"];
const againAtOnce = 8;

export class PullingCrowd implements Disposable {
  readonly #options: PullingCrowdOptions;
  readonly #finished: FinishedImage[] = [];
  #clients: Promise<unknown> | undefined;
  #isStopped = false;
  #isAbandoned = false;
  #wrongBodies = 0;
  #interrupted = 0;

  constructor(options: PullingCrowdOptions) {
    this.#options = options;
  }

  /** Images that a pair has pulled to their ends, every byte right. */
  get finishedCount(): number {
    return this.#finished.length;
  }

  /** Answers that looked whole and were not right. */
  get wrongBodies(): number {
    return this.#wrongBodies;
  }

  /** Pulls that a kill cut, and that were tried again. */
  get interrupted(): number {
    return this.#interrupted;
  }

  start(): void {
    this.#clients = Promise.all(Array.from({ length: this.#options.pairs }, (_, pair) => this.#runPair(pair)));
    this.#clients.catch(() => {}); // Whoever stops it hears of it.
  }

  /** Lets every client leave where it is. */
  [Symbol.dispose](): void {
    this.#isAbandoned = true;
  }

  /** Resolves when every client has the image that it is at. Rejects with what went wrong in a client. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#clients;
  }

  /** Pulls again what was finished; how many of those images came whole and right. */
  async pullFinishedAgain(): Promise<number> {
    const left = [...this.#finished];
    let exact = 0;
    const work = async (): Promise<void> => {
      for (let image = left.pop(); image; image = left.pop()) if (await this.#comesWhole(image)) exact += 1;
    };
    await Promise.all(Array.from({ length: againAtOnce }, work));
    return exact;
  }

  async #runPair(pair: number): Promise<void> {
    const { upstream, layerBytes } = this.#options;
    for (let count = 0; !this.#isStopped; count++) {
      const seed = `${pair}-${count}`;
      const repository = repositories[(pair + count) % repositories.length] ?? "x";
      const image = buildImage({ layers: [{ large: seededBytes(layerBytes, seed) }, { small: seed }] });
      upstream.putImage(repository, seed, image);
      await Promise.all([1, 2].map(() => this.#pullImage(repository, seed, image)));
      const digests = [image.manifest.descriptor.digest, ...image.blobs.keys()];
      for (const digest of digests) upstream.remove(repository, digest);
      this.#finished.push({ repository, tag: seed, digests });
    }
  }

  async #pullImage(repository: string, tag: string, { manifest, blobs }: BuiltImage): Promise<void> {
    await this.#pullUntilWhole(`${repository}/manifests/${tag}`, manifest.bytes);
    await this.#pullUntilWhole(`${repository}/manifests/${manifest.descriptor.digest}`, manifest.bytes);
    for (const [digest, bytes] of blobs) await this.#pullUntilWhole(`${repository}/blobs/${digest}`, bytes);
  }

  async #pullUntilWhole(name: string, expected: Uint8Array): Promise<void> {
    for (;;) {
      await this.#options.whenUp();
      if (this.#isAbandoned) throw new Error("abandoned");
      const result = await pull({ ...this.#addressOf(name), expected });
      if (isWholeAndRight(result)) return;
      if (result.ending === "complete" && result.status === 200) this.#wrongBodies += 1;
      if (result.status !== 200 && result.status !== 0) throw new Error(`${name} was answered ${result.status}`);
      this.#interrupted += 1;
    }
  }

  async #comesWhole({ repository, tag, digests }: FinishedImage): Promise<boolean> {
    const [manifest, ...blobs] = digests;
    const wanted = [[`manifests/${tag}`, manifest], [`manifests/${manifest}`, manifest], ...blobs.map((digest) => [`blobs/${digest}`, digest])];
    for (const [path, digest] of wanted) {
      const answer = await fetch(`http://${this.#options.base}/${repository}/${path}`);
      const bytes = new Uint8Array(await answer.arrayBuffer());
      if (answer.status !== 200) return false;
      if (digestOf(bytes) !== digest) {
        this.#wrongBodies += 1;
        return false;
      }
    }
    return true;
  }

  #addressOf(name: string): { readonly host: string; readonly path: string } {
    const [host = "", ...path] = this.#options.base.split("/");
    return { host, path: `/${path.join("/")}/${name}` };
  }
}

function isWholeAndRight({ status, ending, isExact }: PullResult): boolean {
  return status === 200 && ending === "complete" && isExact;
}
