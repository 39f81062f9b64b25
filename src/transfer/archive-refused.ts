/** ArchiveRefused: an archive that is not what it should be, in words that name the entry or the image. Nothing of it was kept. */

export class ArchiveRefused extends Error {
  constructor(message: string, { cause }: { cause?: unknown } = {}) {
    super(message, { cause });
    this.name = "ArchiveRefused";
  }
}
