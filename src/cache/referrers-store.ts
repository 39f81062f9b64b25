/**
 * ReferrersStore: which manifests have which subject. Two sources: the upstream's last answer, kept whole, and a link for each
 * held manifest with a subject, so that a question can be answered with no network, however many manifests there are.
 */
import type { Clock } from "../oci/clock.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { findDescriptors } from "../oci/manifest.ts";
import type { Repository } from "../oci/repository.ts";
import { removeIfEmpty, unlinkIfThere, writeAtomic } from "./atomic-write.ts";
import type { DiskReads } from "./disk-reads.ts";
import type { InstanceFolder } from "./instance-folder.ts";
import { findDashedDigest, type Layout } from "./layout.ts";
import { formatRecord, parseRecord } from "./record.ts";
import { listFolder } from "./list-folder.ts";
import { TrustedFiles } from "./trusted-files.ts";

/** What the upstream answered, and when (milliseconds since 1970). */
export interface ReferrersAnswer {
  readonly manifests: readonly Descriptor[];
  readonly checkedAtMs: number;
}

const answerBytesMax = 8 * 1024 * 1024;
/** Held referrers of one subject that are looked at. */
const linksMax = 1_000;

export class ReferrersStore {
  readonly #layout: Layout;
  readonly #instance: InstanceFolder;
  readonly #reads: DiskReads;
  readonly #answers: TrustedFiles<ReferrersAnswer>;

  constructor({ layout, instance, clock, reads }: { layout: Layout; instance: InstanceFolder; clock: Clock; reads: DiskReads }) {
    this.#layout = layout;
    this.#instance = instance;
    this.#reads = reads;
    this.#answers = new TrustedFiles({ clock, reads, fileBytesMax: answerBytesMax, entriesMax: 5_000, memoryBytesMax: 16 * 1024 * 1024, parse: parseAnswer });
  }

  findAnswer(repository: Repository, subject: Digest): ReferrersAnswer | undefined | Promise<ReferrersAnswer | undefined> {
    return this.#answers.find(this.#layout.referrersAnswer(repository, subject));
  }

  async putAnswer(repository: Repository, subject: Digest, { manifests, checkedAtMs }: ReferrersAnswer): Promise<void> {
    const path = this.#layout.referrersAnswer(repository, subject);
    const record = { manifests: manifests.map(({ sizeBytes, ...rest }) => ({ ...rest, size: sizeBytes })) };
    await writeAtomic(path, formatRecord(record), { temporaryPath: await this.#instance.temporaryPath(), modifiedAtMs: checkedAtMs });
    this.#answers.forget(path);
  }

  /** The manifest `digest`, whose subject is `subject`, is held no more. Throws the system's error. */
  async remove(repository: Repository, subject: Digest, digest: Digest): Promise<void> {
    await unlinkIfThere(this.#layout.referrer(repository, subject, digest));
    await removeIfEmpty(this.#layout.referrers(repository, subject));
  }

  /** Nobody asks any more what refers to `subject`: it is held no more. Throws the system's error. */
  async removeAll(repository: Repository, subject: Digest): Promise<void> {
    const folder = this.#layout.referrers(repository, subject);
    for (const name of await listFolder(folder)) await unlinkIfThere(`${folder}/${name}`);
    this.#answers.forget(this.#layout.referrersAnswer(repository, subject));
    await removeIfEmpty(folder);
  }

  /** Digests of held manifests that name `subject`. */
  async listHeld(repository: Repository, subject: Digest): Promise<readonly Digest[]> {
    const folder = this.#layout.referrers(repository, subject);
    const names = (await this.#reads.attempt(folder, () => listFolder(folder))) ?? [];
    return names.slice(0, linksMax).flatMap((name) => findDashedDigest(name) ?? []);
  }
}

function parseAnswer(bytes: Buffer, { mtimeMs }: { mtimeMs: number }): ReferrersAnswer | undefined {
  const record = parseRecord(bytes);
  return record && Array.isArray(record["manifests"]) ? { manifests: findDescriptors(record["manifests"]), checkedAtMs: mtimeMs } : undefined;
}
