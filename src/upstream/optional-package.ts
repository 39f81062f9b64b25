/** Optional packages: libraries that only some configurations need, loaded when one does. Whoever lacks one is told its name. */
import { OciError } from "../oci/errors.ts";

export interface OptionalPackage<T> {
  /** As npm knows it. */
  readonly name: string;
  readonly load: () => Promise<T>;
  /** What needs it, for the message. */
  readonly neededBy: string;
}

/** The package. Rejects with `DENIED` when it is not installed. */
export async function loadPackage<T>({ name, load, neededBy }: OptionalPackage<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (!isMissing(error)) throw new OciError("DENIED", `${neededBy}: the package ${name} is installed here but cannot be loaded`, { cause: error });
    throw new OciError("DENIED", `${neededBy}: the package ${name} is not installed beside ociregistry; run: npm install ${name}`, { cause: error });
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ERR_MODULE_NOT_FOUND" || error.code === "MODULE_NOT_FOUND");
}
