/**
 * Provenance: which registries delivered which bytes. Sharing bytes on disk never shares access: anyone can push a manifest that
 * names somebody's private digest, so a registry's clients see only what that registry delivered itself, or what anybody could
 * have had. Each fact is an empty file of its own, so that copying one store over another is a union.
 */
import type { Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import type { RegistryHost } from "../oci/repository.ts";
import { mark } from "./atomic-write.ts";
import type { DiskReads } from "./disk-reads.ts";
import type { Layout } from "./layout.ts";
import { TrustedFiles, type TrustedFile } from "./trusted-files.ts";

export class Provenance {
  readonly #layout: Layout;
  readonly #marks: TrustedFiles<true>;

  constructor({ layout, clock, reads }: { layout: Layout; clock: Clock; reads: DiskReads }) {
    this.#layout = layout;
    this.#marks = new TrustedFiles({ clock, reads, fileBytesMax: Number.MAX_SAFE_INTEGER, entriesMax: 8_192, parse: () => true });
  }

  /** Whether clients of `host` may be given these bytes from disk. */
  async covers(host: RegistryHost, digest: Digest): Promise<boolean> {
    return (await this.#marks.find(this.#layout.delivery(host, digest))) ?? (await this.#marks.find(this.#layout.publicMark(digest))) ?? false;
  }

  /** What makes `covers` true at once, for as long as it does; undefined when that takes a look. */
  findTrusted(host: RegistryHost, digest: Digest): TrustedFile | undefined {
    return this.#marks.findTrusted(this.#layout.delivery(host, digest)) ?? this.#marks.findTrusted(this.#layout.publicMark(digest));
  }

  /** `host` has delivered these bytes, and they were checked. */
  async record(host: RegistryHost, digest: Digest, { isPublic }: { isPublic: boolean }): Promise<void> {
    const paths = [this.#layout.delivery(host, digest), ...(isPublic ? [this.#layout.publicMark(digest)] : [])];
    for (const path of paths) {
      await mark(path);
      this.#marks.forget(path);
    }
  }
}
