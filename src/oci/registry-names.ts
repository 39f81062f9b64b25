/**
 * RegistryNames: what the words that clients use for a registry mean. Built from the configuration once; every place where a
 * registry can be named (path, `ns`, header, image lists) asks here, so that an alias means the same everywhere.
 */
import { OciError } from "./errors.ts";
import { findRegistryHost, type RegistryHost } from "./repository.ts";

export interface ListedRegistry {
  /** `host[:port]` as configured. */
  readonly name: string;
  readonly scheme: "https" | "http";
  readonly aliases: readonly string[];
}

/** What a header can echo; and no letter that is another's capital elsewhere (the Kelvin sign is one of k). */
const printablePattern = /^[\x21-\x7e]+$/;

export class RegistryNames {
  /** The registry of names that carry none. */
  readonly defaultHost: RegistryHost;
  readonly #listed = new Map<RegistryHost, ListedRegistry>();
  readonly #aliases = new Map<string, RegistryHost>();

  /** Throws `NAME_INVALID` for a name that is no host, two registries of one name, or an alias that already means another. */
  constructor({ defaultNs, registries }: { defaultNs: string; registries: readonly ListedRegistry[] }) {
    for (const registry of registries) {
      const host = findRegistryHost(registry.name, registry);
      if (!host) throw new OciError("NAME_INVALID", `registries: "${registry.name}" is not a host[:port]`);
      if (this.#listed.has(host)) throw new OciError("NAME_INVALID", `registries: "${registry.name}" is listed twice`);
      this.#listed.set(host, registry);
    }
    for (const [host, registry] of this.#listed) {
      const other = this.#hostOf(registry.name);
      if (other !== undefined && other !== host) throw new OciError("NAME_INVALID", `registries: "${registry.name}" already means "${other}"`);
      for (const alias of registry.aliases) {
        const word = this.#hostOf(alias) ?? alias.toLowerCase();
        if (!printablePattern.test(alias)) throw new OciError("NAME_INVALID", `registries: the alias "${alias}" of "${registry.name}" is not a word`);
        const meant = this.#aliases.get(word) ?? this.#hostOf(alias);
        if (meant !== undefined && meant !== host && (this.#aliases.has(word) || this.#listed.has(meant))) {
          throw new OciError("NAME_INVALID", `registries: the alias "${alias}" of "${registry.name}" already means "${meant}"`);
        }
        this.#aliases.set(word, host);
      }
    }
    const defaultHost = this.find(defaultNs);
    if (!defaultHost) throw new OciError("NAME_INVALID", `defaultNs: "${defaultNs}" is not a host[:port]`);
    this.defaultHost = defaultHost;
  }

  /** The canonical host that `word` means: an alias first, however it is spelled, then a host; undefined when it can be neither. */
  find(word: string): RegistryHost | undefined {
    if (!printablePattern.test(word)) return undefined;
    const host = this.#hostOf(word);
    return this.#aliases.get(host ?? word.toLowerCase()) ?? host;
  }

  /** True for the registries of the configuration, and for the default one, which always counts as listed. */
  isListed(host: RegistryHost): boolean {
    return this.#listed.has(host) || host === this.defaultHost;
  }

  /** True when `word` is an alias or a listed registry's name. */
  names(word: string): boolean {
    const host = this.find(word);
    return host !== undefined && (host !== this.#hostOf(word) || this.isListed(host));
  }

  /** True when a name's first segment may be taken for a host at all: it holds a dot or colon, is `localhost`, or is known. */
  looksLikeHost(segment: string): boolean {
    return segment.includes(".") || segment.includes(":") || segment === "localhost" || this.names(segment);
  }

  listed(): readonly RegistryHost[] {
    return [...this.#listed.keys()];
  }

  /** Other words for a registry, in the order of the configuration. */
  aliasesOf(host: RegistryHost): readonly string[] {
    return this.#listed.get(host)?.aliases ?? [];
  }

  /** The host that `word` is, aliases aside. */
  #hostOf(word: string): RegistryHost | undefined {
    const host = findRegistryHost(word);
    if (host && this.#listed.has(host)) return host;
    const plain = findRegistryHost(word, { scheme: "http" });
    return plain && this.#listed.get(plain)?.scheme === "http" ? plain : host;
  }
}
