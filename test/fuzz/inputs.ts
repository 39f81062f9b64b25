/**
 * Inputs: texts and bytes for parsers. Most are valid ones with a few things wrong, which come further into a parser than noise does;
 * some are noise; some are a few pieces repeated up to the length that the parser has to expect.
 */
import fc from "fast-check";

/** What is wrong somewhere in most grammars. */
const oddities = ["", " ", "\t", "\r\n", "\0", ",", ";", ":", "=", '"', "'", "\\", "/", "..", "//", "%", "%2f", "%00", "?", "#", "@", "[", "]", "<", ">"];
const foreign = ["é", "\u212a", "\u0130", "\u00df", "\ud800", "\u{1f4a9}", "\ufeff", "\u2028"];
const numbers = ["0", "00", "-1", "+1", "1e9", "0x7f", "255", "256", "65535", "65536", "4294967296", "9007199254740993", "99999999999999999999"];
const everywhere = [...oddities, ...foreign, ...numbers, "__proto__", "constructor"];

const lengthMaxDefault = 16 * 1024;

export interface TextOptions {
  /** Pieces of the parser's own language. */
  readonly words?: readonly string[];
  /** The longest that gets to the parser; longer ones are stopped before. */
  readonly lengthMax?: number;
}

/** Texts for a parser of what `valid` makes. */
export function texts(valid: fc.Arbitrary<string>, { words = [], lengthMax = lengthMaxDefault }: TextOptions = {}): fc.Arbitrary<string> {
  const piece = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...words, ...oddities) }, fc.constantFrom(...everywhere), fc.string({ maxLength: 4 }));
  return fc.oneof(
    { weight: 6, arbitrary: valid },
    { weight: 12, arbitrary: edited(valid, piece).map((text) => text.slice(0, lengthMax)) },
    { weight: 4, arbitrary: fc.array(piece, { maxLength: 24 }).map((pieces) => pieces.join("")) },
    { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 64 }) },
    { weight: 1, arbitrary: repeated(valid, piece, lengthMax) },
  );
}

/** A text with up to four edits: a piece put in, a stretch taken out, doubled, repeated, or in the other case. */
function edited(valid: fc.Arbitrary<string>, piece: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const edit = fc.record({
    kind: fc.constantFrom("insert", "replace", "remove", "double", "repeat", "capital"),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.integer({ min: 1, max: 12 }),
    piece,
  });
  return fc.tuple(valid, fc.array(edit, { minLength: 1, maxLength: 4 })).map(([text, edits]) =>
    edits.reduce((current, { kind, at, length, piece: put }) => {
      const start = Math.floor(at * current.length);
      const [before, stretch, after] = [current.slice(0, start), current.slice(start, start + length), current.slice(start + length)];
      switch (kind) {
        case "insert":
          return before + put + stretch + after;
        case "replace":
          return before + put + after;
        case "remove":
          return before + after;
        case "double":
          return before + stretch + stretch + after;
        case "repeat":
          return before + stretch.repeat(40) + after;
        case "capital":
          return before + stretch.toUpperCase() + after;
        default:
          return kind satisfies never;
      }
    }, text),
  );
}

/** What makes a matcher try again and again: the same few pieces to the very end, and then something else. */
function repeated(valid: fc.Arbitrary<string>, piece: fc.Arbitrary<string>, lengthMax: number): fc.Arbitrary<string> {
  const part = fc.array(piece, { minLength: 1, maxLength: 3 }).map((pieces) => pieces.join(""));
  const length = fc.oneof(fc.constant(lengthMax), fc.integer({ min: 1, max: lengthMax }));
  return fc.tuple(fc.oneof(fc.constant(""), part, valid), part, fc.oneof(fc.constant(""), part, valid), length).map(([head, body, tail, wanted]) => {
    const times = Math.max(1, Math.floor((wanted - head.length - tail.length) / Math.max(1, body.length)));
    return (head + body.repeat(times) + tail).slice(0, lengthMax);
  });
}

/** Bytes for a parser of what `valid` makes: as they are, cut short, with bytes changed, put in and taken out, or noise. */
export function bytes(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Buffer> {
  const edit = fc.record({
    kind: fc.constantFrom("flip", "insert", "remove", "cut"),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    value: fc.integer({ min: 1, max: 255 }),
  });
  const changed = fc.tuple(valid, fc.array(edit, { minLength: 1, maxLength: 3 })).map(([content, edits]) => edits.reduce(withEdit, Buffer.from(content)));
  return fc.oneof(
    { weight: 4, arbitrary: valid.map((content) => Buffer.from(content)) },
    { weight: 8, arbitrary: changed },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 256 }).map((noise) => Buffer.from(noise)) },
  );
}

function withEdit(content: Buffer, { kind, at, value }: { kind: "flip" | "insert" | "remove" | "cut"; at: number; value: number }): Buffer {
  const position = Math.min(Math.floor(at * content.length), Math.max(0, content.length - 1));
  switch (kind) {
    case "flip": {
      const copy = Buffer.from(content);
      if (position < copy.length) copy[position] = (copy[position] ?? 0) ^ value;
      return copy;
    }
    case "insert":
      return Buffer.concat([content.subarray(0, position), Buffer.from([value]), content.subarray(position)]);
    case "remove":
      return Buffer.concat([content.subarray(0, position), content.subarray(position + 1)]);
    case "cut":
      return content.subarray(0, position);
    default:
      return kind satisfies never;
  }
}

/** JSON of the shape `valid`, any part of which may be anything else that JSON can say. */
export function json(valid: fc.Arbitrary<unknown>): fc.Arbitrary<Buffer> {
  return bytes(valid.map((value) => Buffer.from(JSON.stringify(value) ?? "null")));
}

/** Mostly `valid`; now and then some other value that JSON knows. */
export function mostly(valid: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const other = fc.oneof(
    fc.constantFrom(null, true, 0, -1, 1.5, 1e300, "", "x", "\r\n", "é\u0000", [], {}, [[]], [null], "__proto__"),
    fc.jsonValue({ maxDepth: 2 }),
  );
  return fc.oneof({ weight: 9, arbitrary: valid }, { weight: 1, arbitrary: other });
}
