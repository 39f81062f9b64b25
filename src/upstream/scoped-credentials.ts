/** ScopedCredentials: one registry, several credentials, each for some of its repositories. */
import type { Credential, CredentialSource, CredentialStatus } from "./credentials.ts";

/** A credential for the repositories whose path matches. */
export interface Scope {
  readonly matches: (path: string) => boolean;
  readonly source: CredentialSource;
}

export class ScopedCredentials implements CredentialSource {
  readonly #scopes: readonly Scope[];
  readonly #others: CredentialSource;

  /** The first scope that matches wins; `others` is for what none matches. */
  constructor(scopes: readonly Scope[], others: CredentialSource) {
    this.#scopes = scopes;
    this.#others = others;
  }

  current(name: string, signal: AbortSignal): Promise<Credential | undefined> {
    return this.#of(name).current(name, signal);
  }

  renew(credential: Credential, name: string, signal: AbortSignal): Promise<boolean> {
    return this.#of(name).renew(credential, name, signal);
  }

  /** The worst of all. */
  status(): CredentialStatus | undefined {
    const all = this.#sources().flatMap((source) => source.status() ?? []);
    return all.find(({ state }) => state === "failing") ?? all.find(({ state }) => state === "none" || state === "fetching") ?? all[0];
  }

  close(): void {
    for (const source of this.#sources()) source.close();
  }

  #sources(): readonly CredentialSource[] {
    return [this.#others, ...this.#scopes.map(({ source }) => source)];
  }

  #of(name: string): CredentialSource {
    return this.#scopes.find(({ matches }) => matches(name))?.source ?? this.#others;
  }
}
