/** DeskKeys: somebody's own keys, as a page asks for them: in its words, and with what is wrong told beside the field that it is in. */
import type { AccountKeys, KeyMade, KeyView, KeyWish } from "../oci/account.ts";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import { readLabel, type WantedKey } from "./api-key-requests.ts";
import { TooManyKeys, type ApiKey } from "./api-keys.ts";
import { readKeyScope, writeKeyScope } from "./key-scope.ts";
import { orLater } from "./or-later.ts";
import type { OwnKeys } from "./own-keys.ts";

export interface DeskKeysOptions {
  readonly own: OwnKeys;
  /** What asks, by its own word. */
  readonly userAgent: string;
  readonly names: () => RegistryNames;
  readonly clock: Clock;
  readonly log: Log;
}

type Refusal = Extract<KeyMade, { kind: "refused" }>;

export class DeskKeys implements AccountKeys {
  readonly #options: DeskKeysOptions;

  constructor(options: DeskKeysOptions) {
    this.#options = options;
  }

  async list(): Promise<readonly KeyView[]> {
    const { own, log } = this.#options;
    return (await orLater(log, () => own.list())).map(viewOf);
  }

  async make(wish: KeyWish): Promise<KeyMade> {
    const { own, userAgent, log } = this.#options;
    const read = this.#read(wish);
    if (read.kind === "refused") return read;
    try {
      const { secret, key } = await orLater(log, () => own.make(read.wanted, userAgent));
      return { kind: "made", secret, key: viewOf(key) };
    } catch (error) {
      if (!(error instanceof TooManyKeys)) throw error;
      return { kind: "refused", field: undefined, problem: error.message };
    }
  }

  async revoke(id: string): Promise<void> {
    const { own, log } = this.#options;
    await orLater(log, () => own.revoke(id));
  }

  #read({ label, lifeMs, repositories, isReadOnly }: KeyWish): { readonly kind: "wanted"; readonly wanted: WantedKey } | Refusal {
    const { names, clock } = this.#options;
    const named = tried("label", () => readLabel(label.trim()));
    if (typeof named !== "string") return named;
    if (named === "") return { kind: "refused", field: "label", problem: "a key has a name, by which you tell it from others" };
    const scope = tried("repositories", () => ({ read: readKeyScope(writtenScope(repositories, isReadOnly), names()) }));
    if ("problem" in scope) return scope;
    return { kind: "wanted", wanted: { label: named, expiresAtMs: lifeMs === undefined ? undefined : clock.now() + lifeMs, scope: scope.read } };
  }
}

function writtenScope(repositories: readonly string[], isReadOnly: boolean): object | undefined {
  if (repositories.length === 0 && !isReadOnly) return undefined;
  return { ...(repositories.length > 0 ? { repositories } : {}), ...(isReadOnly ? { actions: ["read"] } : {}) };
}

/** What reads a field says what is wrong by throwing. */
function tried<Read>(field: NonNullable<Refusal["field"]>, read: () => Read): Read | Refusal {
  try {
    return read();
  } catch (error) {
    return { kind: "refused", field, problem: error instanceof Error ? error.message : String(error) };
  }
}

function viewOf({ id, label, createdAtMs, creator, usedAtMs, expiresAtMs, isExpired, scope }: ApiKey): KeyView {
  const { repositories, actions } = scope ? writeKeyScope(scope) : {};
  return { id, label, createdAtMs, creator, usedAtMs, expiresAtMs, isExpired, repositories, actions };
}
