/** BundleRefused: a bundle, a receipt or a key that cannot be used, and which part of it is why. Nothing of it can be seen in the store. */

export class BundleRefused extends Error {
  constructor(message: string, { cause }: { cause?: unknown } = {}) {
    super(message, { cause });
    this.name = "BundleRefused";
  }
}
