/** Spellings: 30 ways to write `docker.io/library/app` that clients have, and some that look as if they were others. */

export interface Spelling {
  /** `REST` stands for what follows the name. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface SpelledRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Where the name is sought; `docker.io` has the alias `hub`, `other.test:5000` the alias `other`. */
export function spelled({ path, headers = {} }: Spelling, rest: string): SpelledRequest {
  return { path: path.replace("REST", rest), headers };
}

export const spellings: readonly Spelling[] = [
  { path: "/v2/library/app/REST" },
  { path: "/v2/app/REST" },
  { path: "/v2/docker.io/library/app/REST" },
  { path: "/v2/docker.io/app/REST" },
  { path: "/v2/DOCKER.IO/library/app/REST" },
  { path: "/v2/docker.io./library/app/REST" },
  { path: "/v2/docker.io:443/library/app/REST" },
  { path: "/v2/index.docker.io/library/app/REST" },
  { path: "/v2/registry-1.docker.io/app/REST" },
  { path: "/v2/hub/library/app/REST" },
  { path: "/v2/hub/app/REST" },
  { path: "/v2/HUB/library/app/REST" },
  { path: "/v2/library/app/REST?ns=docker.io" },
  { path: "/v2/app/REST?ns=docker.io" },
  { path: "/v2/library/app/REST?ns=Docker.IO" },
  { path: "/v2/library/app/REST?ns=docker.io:443" },
  { path: "/v2/library/app/REST?ns=index.docker.io" },
  { path: "/v2/library/app/REST?ns=hub" },
  { path: "/v2/library/app/REST?ns=" },
  { path: "/v2/library/app/REST?ns=docker.io&ns=hub" },
  { path: "/v2/docker.io/library/app/REST?ns=docker.io" },
  { path: "/v2/hub/library/app/REST?ns=docker.io" },
  { path: "/docker.io/v2/library/app/REST" },
  { path: "/hub/v2/library/app/REST" },
  { path: "/docker.io:443/v2/app/REST" },
  { path: "/docker.io/v2/library/app/REST?ns=hub" },
  { path: "/v2/library/app/REST", headers: { "x-registry": "docker.io" } },
  { path: "/v2/app/REST", headers: { "x-registry": "HUB" } },
  { path: "/v2/l%69brary/app/REST" },
  { path: "/v2/docker%2eio/library/%61pp/REST" },
];

/** The same path of another registry: another repository. */
export const spellingsElsewhere: readonly Spelling[] = [
  { path: "/v2/other/library/app/REST" },
  { path: "/v2/library/app/REST?ns=other" },
  { path: "/v2/library/app/REST?ns=other.test:5000" },
  { path: "/other.test:5000/v2/library/app/REST" },
  { path: "/v2/library/app/REST", headers: { "x-registry": "other" } },
];

/** What no repository is called. */
export const misspellings: readonly Spelling[] = [
  { path: "/v2/library%2fapp/REST" },
  { path: "/v2/library%2Fapp/REST" },
  { path: "/v2/library//app/REST" },
  { path: "/v2//library/app/REST" },
  { path: "/v2/library/app//REST" },
  { path: "/v2/library/%2e%2e/app/REST" },
  { path: "/v2/Library/app/REST" },
  { path: "/v2/library/app%00/REST" },
  { path: "/v2/docker.io/library/app/REST?ns=other.test" },
  { path: "/v2/docker.io/library/app/REST?ns=other" },
  { path: "/v2/library/app/REST?ns=docker.io&ns=other" },
  { path: "/v2/hub/library/app/REST", headers: { "x-registry": "other" } },
  { path: "/v2/library/../library/app/REST" },
  { path: "/v2/./library/app/REST" },
  { path: "//v2/library/app/REST" },
  { path: "/v2/docker.io/v2/library/app/REST" },
  { path: "/v2/library/app/REST/" },
];
