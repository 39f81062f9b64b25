/** Finding: what is to be said about a key, before it is known in which file, variable or flag it was set. */
import type { KeyPath } from "./key-path.ts";

export interface Finding {
  readonly path: KeyPath;
  /** Without the place. */
  readonly message: string;
  /** True for words that end in `(line N)` where there is a line. */
  readonly namesLine?: boolean;
}
