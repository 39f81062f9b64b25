/** OfflineRegistry: what stands for every upstream when none may be asked. It knows nothing, at once. */
import { OciError, type OciErrorCode } from "../oci/errors.ts";
import { referenceName } from "../oci/reference.ts";
import type { Registry } from "../oci/registry.ts";
import { repositoryName } from "../oci/repository.ts";

/** A registry that holds nothing and dials nobody. Every method throws the `*_UNKNOWN` of its kind, with source "local". */
export class OfflineRegistry implements Registry {
  getManifest: Registry["getManifest"] = (repository, reference) => unknown("MANIFEST_UNKNOWN", `${referenceName(reference)} of ${repositoryName(repository)}`);

  headManifest: Registry["headManifest"] = (repository, reference) =>
    unknown("MANIFEST_UNKNOWN", `${referenceName(reference)} of ${repositoryName(repository)}`);

  getBlob: Registry["getBlob"] = (repository, digest) => unknown("BLOB_UNKNOWN", `blob ${digest} of ${repositoryName(repository)}`);

  headBlob: Registry["headBlob"] = (repository, digest) => unknown("BLOB_UNKNOWN", `blob ${digest} of ${repositoryName(repository)}`);

  listTags: Registry["listTags"] = (repository) => unknown("NAME_UNKNOWN", `the tags of ${repositoryName(repository)}`);

  listReferrers: Registry["listReferrers"] = (repository, digest) => unknown("MANIFEST_UNKNOWN", `referrers of ${digest} in ${repositoryName(repository)}`);
}

function unknown(code: OciErrorCode, what: string): Promise<never> {
  return Promise.reject(new OciError(code, `${what}: not held, and no upstream is asked in air-gapped mode`, { source: "local" }));
}
