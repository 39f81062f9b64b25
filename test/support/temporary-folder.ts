/** A folder of a test's own, gone when the test is. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
}

/** Makes a folder. Dispose of it: `await using folder = await temporaryFolder()`. `under` is where; /dev/shm, say. */
export async function temporaryFolder({ under = tmpdir() }: { under?: string } = {}): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(under, "ociregistry-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}
