/** A failure of an upstream, with the name of what was asked for: the upstream's own words tell only of itself. */
import { isOutage, OciError } from "../oci/errors.ts";
import { referenceName } from "../oci/reference.ts";
import { repositoryName } from "../oci/repository.ts";
import type { Route } from "./routes.ts";

/** `docker.io/library/alpine:3: connection refused by ...`. Whatever names its repository already, or is no such failure, is left as it is. */
export function namedFailure(error: OciError, route: Route | undefined): OciError {
  if (!isOutage(error) || !route || !("repository" in route)) return error;
  const name = repositoryName(route.repository);
  if (error.message.includes(name)) return error;
  const { code, message, source, retryAfterMs, sizeBytes } = error;
  const options = { cause: error, source, ...(retryAfterMs === undefined ? {} : { retryAfterMs }), ...(sizeBytes === undefined ? {} : { sizeBytes }) };
  return new OciError(code, `${name}${whichOf(route, message)}: ${message}`, options);
}

/** The tag or digest, unless it is a word of `message`: a tag may be as short as a digit of an address. */
function whichOf(route: Route, message: string): string {
  const [mark, which] =
    route.kind === "manifest"
      ? ([route.reference.kind === "tag" ? ":" : "@", referenceName(route.reference)] as const)
      : (["@", "digest" in route ? route.digest : ""] as const);
  return which === "" || message.split(" ").includes(which) ? "" : `${mark}${which}`;
}
