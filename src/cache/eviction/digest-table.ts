/**
 * DigestTable: small whole numbers that stand for digests. A census knows hundreds of thousands of them, each named by several images:
 * as text they would take ten times the memory. What is known of a blob lies in columns by that number.
 */
import { findDigest, hexOf, type Digest } from "../../oci/digest.ts";

const bytesPerDigest = 32;
const rowsFirst = 1_024;
/** Rows for each slot, at most: a table that is half empty is searched in a step or two. */
const fill = 0.5;

export class DigestTable {
  #count = 0;
  #rows = new Uint8Array(rowsFirst * bytesPerDigest);
  /** Open addressing: the row's number plus one, 0 for none. */
  #slots = new Uint32Array(rowsFirst / fill);
  /** Digests that are longer than a row, which hardly anybody uses. */
  readonly #long = new Map<Digest, number>();
  readonly #longNames = new Map<number, Digest>();

  get count(): number {
    return this.#count;
  }

  /** The number of a digest; one that is new gets the next. */
  put(digest: Digest): number {
    const row = rowOf(digest);
    if (!row) return this.#putLong(digest);
    const slot = this.#slotOf(row);
    const known = this.#slots[slot] ?? 0;
    if (known > 0) return known - 1;
    if (this.#count >= this.#slots.length * fill) {
      this.#grow();
      return this.put(digest);
    }
    const id = this.#next();
    this.#rows.set(row, id * bytesPerDigest);
    this.#slots[slot] = id + 1;
    return id;
  }

  /** The number of a digest that is known. */
  find(digest: Digest): number | undefined {
    const row = rowOf(digest);
    if (!row) return this.#long.get(digest);
    const known = this.#slots[this.#slotOf(row)] ?? 0;
    return known > 0 ? known - 1 : undefined;
  }

  /** The digest that `id` stands for, which this table gave. */
  digestOf(id: number): Digest {
    const hex = Buffer.from(this.#rows.buffer, id * bytesPerDigest, bytesPerDigest).toString("hex");
    const digest = this.#longNames.get(id) ?? findDigest(`sha256:${hex}`);
    if (!digest || id >= this.#count) throw new Error(`no digest has the number ${id}`);
    return digest;
  }

  #putLong(digest: Digest): number {
    const known = this.#long.get(digest);
    if (known !== undefined) return known;
    const id = this.#next();
    this.#long.set(digest, id);
    this.#longNames.set(id, digest);
    return id;
  }

  #next(): number {
    const id = this.#count;
    this.#count += 1;
    if (this.#rows.length < this.#count * bytesPerDigest) this.#rows = grown(this.#rows);
    return id;
  }

  #slotOf(row: Uint8Array): number {
    // The first bytes of a digest are as good as any hash of it.
    const mask = this.#slots.length - 1;
    let slot = new DataView(row.buffer, row.byteOffset).getUint32(0) & mask;
    for (;;) {
      const known = this.#slots[slot] ?? 0;
      if (known === 0 || this.#isRow(known - 1, row)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #isRow(id: number, row: Uint8Array): boolean {
    const at = id * bytesPerDigest;
    for (let index = 0; index < bytesPerDigest; index++) if (this.#rows[at + index] !== row[index]) return false;
    return true;
  }

  #grow(): void {
    const rows = this.#rows;
    this.#slots = new Uint32Array(this.#slots.length * 2);
    for (let id = 0; id < this.#count; id++) {
      if (this.#longNames.has(id)) continue;
      this.#slots[this.#slotOf(rows.subarray(id * bytesPerDigest, (id + 1) * bytesPerDigest))] = id + 1;
    }
  }
}

/** One number for each row of a `DigestTable`: 0 until it is set. */
export class Column {
  #values: Float64Array;

  constructor() {
    this.#values = new Float64Array(rowsFirst);
  }

  get(id: number): number {
    return this.#values[id] ?? 0;
  }

  set(id: number, value: number): void {
    if (id >= this.#values.length) {
      const larger = new Float64Array(Math.max(id + 1, this.#values.length * 2));
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[id] = value;
  }

  add(id: number, by: number): number {
    const sum = this.get(id) + by;
    this.set(id, sum);
    return sum;
  }

  /** Another column of the same numbers, to reckon with. */
  copy(): Column {
    const copy = new Column();
    copy.#values = this.#values.slice();
    return copy;
  }
}

function rowOf(digest: Digest): Uint8Array | undefined {
  return digest.startsWith("sha256:") ? Buffer.from(hexOf(digest), "hex") : undefined;
}

function grown(rows: Uint8Array): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(rows.length * 2);
  larger.set(rows);
  return larger;
}
