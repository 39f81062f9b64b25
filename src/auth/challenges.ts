/** Challenges: what a refusal says in `WWW-Authenticate`: how one shows who one is here. One scheme for each server: clients disagree on which of two they take. */
import type { RegistryNames } from "../oci/registry-names.ts";
import { bearerChallenge, catalogScope, repositoryScope, type Challenge } from "./bearer.ts";
import { tokenNameOf } from "./token-names.ts";
import type { Visit, Wanted } from "./visit.ts";

export type ChallengeOptions =
  | { readonly kind: "basic"; readonly realm: string }
  | {
      readonly kind: "bearer";
      /** The address of the token service, for a client that reached us at `origin`. */
      readonly realm: (origin: string) => string;
      readonly service: string;
    };

/** In the words of tokens. */
const tokenActions = { read: "pull", create: "push", delete: "delete" } as const;

export class Challenges {
  readonly #options: ChallengeOptions;
  readonly #names: () => RegistryNames;

  constructor(options: ChallengeOptions, names: () => RegistryNames) {
    this.#options = options;
    this.#names = names;
  }

  /** The header's value for a request that wants `wanted`. */
  write(wanted: Wanted, { origin }: Pick<Visit, "origin">, error?: Challenge["error"]): string {
    const options = this.#options;
    if (options.kind === "basic") return `Basic realm="${options.realm.replaceAll(/[^\x20-\x7e]/g, "").replaceAll(/["\\]/g, "\\$&")}"`;
    return bearerChallenge({ realm: options.realm(origin), service: options.service, scope: this.#scopeOf(wanted), error });
  }

  #scopeOf(wanted: Wanted): string | undefined {
    if (wanted.kind === "catalog") return catalogScope;
    if (wanted.kind !== "repository") return undefined;
    return repositoryScope(tokenNameOf(wanted.repository, wanted.writtenName, this.#names()), tokenActions[wanted.action]);
  }
}
