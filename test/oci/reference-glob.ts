/**
 * What a pattern matches, a second time: from the rules as they are told to people, by way of a regular expression for each way to
 * choose among its braces. Slow, and nothing of ours in it.
 */

export function referenceMatches(pattern: string, name: string): boolean {
  return chosen(pattern).some((text) => new RegExp(`^${expressionOf(text)}$`).test(name));
}

/** Every way to choose among the braces, the innermost first. Stars that come to stand side by side by it are one star. */
function chosen(pattern: string): readonly string[] {
  const [whole, inside = ""] = /\{([^{}]*)\}/.exec(pattern) ?? [];
  if (whole === undefined) return [pattern];
  return inside.split(",").flatMap((option) => chosen(pattern.replace(whole, () => option)));
}

function expressionOf(text: string): string {
  const components = text.split("/");
  const parts = components.map((component, at) => {
    const isLast = at === components.length - 1;
    if (component === "**") return isLast ? ".*" : "(?:[^/]+/)*";
    const written = component.replaceAll(/\[!/g, "[^").replaceAll(/\[[^\]]*\]|\\.|\*+|\?|[a-z0-9-]/g, (piece) => {
      if (piece.startsWith("[")) return piece;
      if (piece.startsWith("\\")) return piece.slice(1);
      if (piece.startsWith("*")) return "[^/]*";
      return piece === "?" ? "[^/]" : piece;
    });
    if (isLast) return written;
    // What is below includes the thing itself; only where a star ends it, that star must have taken something.
    if (at === components.length - 2 && components.at(-1) === "**") {
      return component.endsWith("*") ? `${written.slice(0, -"[^/]*".length)}(?:[^/]*/|[^/]+$)` : `${written}(?:/|$)`;
    }
    return `${written}/`;
  });
  return parts.join("");
}
