/**
 * FakeUpstream: a registry on 127.0.0.1 that records every request and has a switch for every quirk that real registries have
 * (`when(matcher, quirk)`, `authentication`, `cdn`, `tokens`). Without any it is a good registry of OCI distribution-spec 1.1.
 */
import { digestOf, type Digest } from "../../src/oci/digest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { contentReply } from "./content-reply.ts";
import type { FakeAws } from "./fake-aws.ts";
import { startFakeCdn, type FakeCdn } from "./fake-cdn.ts";
import { userOf, type FakeTokenService } from "./fake-token-service.ts";
import { HeldContent, referrersIndex } from "./held-content.ts";
import type { BuiltImage, BuiltIndex, ImageOptions } from "./images.ts";
import type { Quirk, RequestKind } from "./quirks.ts";
import { RecordingServer, type RecordedRequest, type Reply, type TlsFiles } from "./recording-server.ts";

/** Who may ask, and how the registry says so. */
export type Authentication =
  | { readonly kind: "none" }
  | { readonly kind: "basic"; readonly name: string; readonly password: string; readonly challenge?: ChallengePlace }
  | {
      readonly kind: "bearer";
      readonly tokens: FakeTokenService;
      readonly challenge?: ChallengePlace;
      /** Leaves the scope out of the challenge. */
      readonly withoutScope?: boolean;
      /** Offers Basic and Negotiate beside Bearer. */
      readonly severalSchemes?: boolean;
      /** In place of the token service's own realm. */
      readonly realm?: string;
      /** What an expired token is answered, without a challenge; absent: 401 with one. */
      readonly expiredStatus?: 400 | 403;
    }
  /** As Amazon ECR: Basic with a password that AWS gave for this account. */
  | { readonly kind: "ecr"; readonly aws: FakeAws; readonly account: string };

/** Where `WWW-Authenticate` is sent: with every 401, only with that of `/v2/`, or never. */
type ChallengePlace = "always" | "ping only" | "never";

export interface FakeUpstreamOptions {
  readonly tls?: TlsFiles | undefined;
  /** Start a CDN beside it and send blobs there. */
  readonly redirectsBlobs?: boolean;
}

/** Starts one on a free port of 127.0.0.1. */
export async function startFakeUpstream({ tls, redirectsBlobs = false }: FakeUpstreamOptions = {}): Promise<FakeUpstream> {
  const upstream = new FakeUpstream({ tls, cdn: await startFakeCdn({ tls }) });
  if (redirectsBlobs) upstream.when({ kind: "blob" }, { redirectTo: "cdn" });
  await upstream.accept();
  return upstream;
}

export class FakeUpstream extends RecordingServer {
  authentication: Authentication = { kind: "none" };
  /** Where `redirectTo: "cdn"` leads. */
  readonly cdn: FakeCdn;
  readonly #held = new HeldContent();

  constructor({ tls, cdn }: { tls: TlsFiles | undefined; cdn: FakeCdn }) {
    super({ tls });
    this.cdn = cdn;
  }

  override async close(): Promise<void> {
    await this.cdn.close();
    await super.close();
  }

  /** Holds `bytes` in `repository`. */
  putBlob(repository: string, bytes: Uint8Array, { digest = digestOf(bytes) }: { digest?: Digest } = {}): Digest {
    this.#held.putBlob(repository, bytes, digest);
    return digest;
  }

  /** Holds a manifest, and tags it when `tag` is given. `manifest` is JSON to be, or exact bytes. */
  putManifest(repository: string, tag: string | undefined, manifest: object | Uint8Array, mediaType?: string): Digest {
    return this.#held.putManifest(repository, tag, manifest, mediaType);
  }

  /** Holds an image with all its blobs: one built already (an image or an index), or one built now. */
  putImage(repository: string, tag: string | undefined, image: BuiltIndex): BuiltIndex;
  putImage(repository: string, tag: string | undefined, image?: BuiltImage | ImageOptions): BuiltImage;
  putImage(repository: string, tag: string | undefined, image: BuiltIndex | BuiltImage | ImageOptions = {}): BuiltIndex | BuiltImage {
    return this.#held.putImage(repository, tag, image);
  }

  /** Writes the referrers of `subject` held now under its fallback tag, as clients do for registries without the API. */
  putReferrersTag(repository: string, subject: Digest): Digest {
    return this.#held.putReferrersTag(repository, subject);
  }

  setTag(repository: string, tag: string, digest: string): void {
    this.#held.setTag(repository, tag, digest);
  }

  removeTag(repository: string, tag: string): void {
    this.#held.removeTag(repository, tag);
  }

  /** Takes a manifest or a blob away; tags of it dangle. */
  remove(repository: string, digest: string): void {
    this.#held.remove(repository, digest);
  }

  protected override classify(path: string): { kind: RequestKind; repository: string | undefined } {
    if (path === "/v2/" || path === "/v2") return { kind: "ping", repository: undefined };
    if (path === "/v2/_catalog") return { kind: "catalog", repository: undefined };
    const { repository, kind } = routeOf(path) ?? { repository: undefined, kind: "other" as const };
    return { kind, repository };
  }

  protected override answer(request: RecordedRequest, quirk: Quirk): Reply {
    const refusal = this.#refusal(request);
    if (refusal) return refusal;
    if (request.kind === "ping") return { status: 200, headers: apiHeaders, body: "{}" };
    if (request.kind === "catalog") return json(200, { repositories: this.#held.repositories() });
    const route = routeOf(request.url.split("?", 1)[0] ?? "");
    if (request.method !== "GET" && request.method !== "HEAD") return errorReply(405, "UNSUPPORTED");
    if (!route) return errorReply(404, "UNSUPPORTED");
    if (!this.#held.has(route.repository)) return errorReply(404, "NAME_UNKNOWN");
    if (route.kind === "tags") return this.#tagsReply(request, route.repository, quirk);
    if (route.kind === "referrers") return this.#referrersReply(request, route.repository, route.reference, quirk);
    return this.#contentReply(request, route, quirk);
  }

  #refusal(request: RecordedRequest): Reply | undefined {
    const { authentication } = this;
    if (authentication.kind === "none") return undefined;
    if (authentication.kind === "basic") {
      const user = userOf(request.headers.authorization);
      if (user?.name === authentication.name && user.password === authentication.password) return undefined;
      return unauthorized(request, authentication.challenge, ['Basic realm="fake"']);
    }
    if (authentication.kind === "ecr") return ecrRefusal(request, authentication);
    const { tokens, challenge, withoutScope = false, severalSchemes = false, realm = tokens.realm, expiredStatus } = authentication;
    const token = /^bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
    const state = token === undefined ? "unknown" : tokens.judge(token, request.repository);
    if (state === "valid") return undefined;
    if (state === "expired" && expiredStatus !== undefined) return errorReply(expiredStatus, "DENIED", "your authorization token has expired");
    const scope = withoutScope || request.repository === undefined ? "" : `,scope="repository:${request.repository}:pull"`;
    const reason = state === "insufficient" ? ',error="insufficient_scope"' : "";
    const bearer = `Bearer realm="${realm}",service="fake"${scope}${reason}`;
    return unauthorized(request, challenge, severalSchemes ? ["Negotiate", `Basic realm="fake, with a comma", ${bearer}`] : [bearer]);
  }

  #contentReply(request: RecordedRequest, { repository, kind, reference }: Route, quirk: Quirk): Reply {
    const digest = kind === "manifest" && !reference.includes(":") ? this.#tagged(repository, reference, quirk) : reference;
    const manifest = digest === undefined || kind !== "manifest" ? undefined : this.#held.findManifest(repository, digest);
    const blob = kind === "blob" ? this.#held.findBlob(repository, reference) : undefined;
    const content = manifest?.bytes ?? blob;
    if (!content || digest === undefined) return errorReply(404, kind === "manifest" ? "MANIFEST_UNKNOWN" : "BLOB_UNKNOWN");
    const contentType = manifest?.mediaType ?? mediaTypes.octetStream;
    if (quirk.redirectTo === "cdn") return { status: quirk.redirectStatus ?? 307, headers: { location: this.cdn.sign(reference, content, contentType) } };
    const headers = { ...apiHeaders, "content-type": contentType, "docker-content-digest": digest, etag: `"${digest}"` };
    return kind === "manifest" ? { status: 200, headers, body: content } : contentReply(request, content, headers, quirk);
  }

  #tagged(repository: string, tag: string, quirk: Quirk): string | undefined {
    const fallback = quirk.subjectAtFallbackTag ? /^sha256-([a-f0-9]{64})$/.exec(tag) : null;
    return fallback ? `sha256:${fallback[1]}` : this.#held.findTagged(repository, tag);
  }

  #tagsReply(request: RecordedRequest, repository: string, quirk: Quirk): Reply {
    const { pageSize = Infinity, paging = "last", extraEntries = [], nullWhenEmpty = false } = quirk.tags ?? {};
    const query = new URL(request.url, this.url).searchParams;
    const size = Math.min(pageSize, Number(query.get("n") ?? Infinity));
    const after = paging === "last" ? query.get("last") : Buffer.from(query.get("next_page") ?? "", "base64url").toString();
    const following = this.#held.tagsOf(repository).filter((tag) => !after || tag > after);
    const page = following.slice(0, size);
    const last = page.at(-1) ?? "";
    const next = paging === "last" ? `n=${size}&last=${encodeURIComponent(last)}` : `next_page=${Buffer.from(last).toString("base64url")}`;
    const link = following.length > page.length && page.length > 0 ? `</v2/${repository}/tags/list?${next}>; rel="next"` : undefined;
    const tags = [...page, ...extraEntries];
    return json(200, { name: repository, tags: tags.length === 0 && nullWhenEmpty ? null : tags }, { link });
  }

  #referrersReply(request: RecordedRequest, repository: string, subject: string, quirk: Quirk): Reply {
    if (quirk.referrers === "missing") return errorReply(404, "UNSUPPORTED");
    if (quirk.referrers === "redirect") return { status: 303, headers: { location: `${this.cdn.url}/-/packages/${repository}` } };
    if (quirk.referrers === "html") return { status: 200, headers: { "content-type": "text/html" }, body: "<!doctype html><title>packages</title>" };
    if (quirk.referrers === "not-an-index") return json(200, { packages: [] });
    const artifactType = new URL(request.url, this.url).searchParams.get("artifactType");
    const all = this.#held.referrersOf(repository, subject);
    const filtered = artifactType === null ? all : all.filter((entry) => entry.artifactType === artifactType);
    return json(200, referrersIndex(filtered), {
      "content-type": mediaTypes.ociIndex,
      "oci-filters-applied": artifactType === null ? undefined : "artifactType",
    });
  }
}

/** ECR asks strangers for Basic, and says 403 to a token that has expired, or whose owner may not read here. */
function ecrRefusal(request: RecordedRequest, { aws, account }: Authentication & { readonly kind: "ecr" }): Reply | undefined {
  const user = userOf(request.headers.authorization);
  const state = user?.name === "AWS" ? aws.judge(user.password, account) : "unknown";
  if (state === "valid") return undefined;
  if (state === "expired") return errorReply(403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.");
  if (state === "foreign") return errorReply(403, "DENIED", "is not authorized to perform: ecr:BatchGetImage");
  return unauthorized(request, "always", [`Basic realm="https://${account}.dkr.ecr.us-east-1.amazonaws.com/",service="ecr.amazonaws.com"`]);
}

interface Route {
  readonly repository: string;
  readonly kind: "manifest" | "blob" | "tags" | "referrers";
  readonly reference: string;
}

const kinds = { manifests: "manifest", blobs: "blob", referrers: "referrers" } as const;

function routeOf(path: string): Route | undefined {
  const tags = /^\/v2\/(.+)\/tags\/list$/.exec(path);
  if (tags?.[1] !== undefined) return { repository: tags[1], kind: "tags", reference: "" };
  const [, repository, kind, reference] = /^\/v2\/(.+)\/(manifests|blobs|referrers)\/([^/]+)$/.exec(path) ?? [];
  if (repository === undefined || reference === undefined) return undefined;
  if (kind !== "manifests" && kind !== "blobs" && kind !== "referrers") return undefined;
  return { repository, kind: kinds[kind], reference: decodeURIComponent(reference) };
}

const apiHeaders = { "docker-distribution-api-version": "registry/2.0", "content-type": "application/json" };

function json(status: number, body: object, headers: Reply["headers"] = {}): Reply {
  return { status, headers: { ...apiHeaders, ...headers }, body: JSON.stringify(body) };
}

function errorReply(status: number, code: string, message = "the fake says so"): Reply {
  return json(status, { errors: [{ code, message }] });
}

function unauthorized(request: RecordedRequest, challenge: ChallengePlace = "always", values: readonly string[]): Reply {
  const isTold = challenge === "always" || (challenge === "ping only" && request.kind === "ping");
  return { ...errorReply(401, "UNAUTHORIZED"), headers: { ...apiHeaders, "www-authenticate": isTold ? values : undefined } };
}
