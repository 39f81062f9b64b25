/** `${VAR}` and `${VAR:-default}` in a configuration's texts. `$${` stands for `${` itself. */

export type Expansion = { readonly kind: "expanded"; readonly text: string } | { readonly kind: "failed"; readonly problem: string };

const expressions = /\$\$\{|\$\{([^}]*)(\}?)/g;
const expression = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/;

/**
 * Replaces each expression once; what a variable holds is not looked at again. The default stands in for a variable that is unset or
 * empty. Fails for a variable that is unset and has no default, and for `${` that begins no expression. Never throws.
 */
export function expandVariables(text: string, environment: NodeJS.ProcessEnv): Expansion {
  let problem: string | undefined;
  const expanded = text.replaceAll(expressions, (whole: string, inside: string | undefined, end: string | undefined) => {
    if (inside === undefined) return "${";
    const [, name, fallback] = (end === "}" && expression.exec(inside)) || [];
    if (name === undefined) {
      problem ??= "${ begins neither ${NAME} nor ${NAME:-default}; write $${ for the characters themselves";
      return whole;
    }
    const value = environment[name];
    if (value !== undefined && (value !== "" || fallback === undefined)) return value;
    if (fallback === undefined) problem ??= `the environment has no ${name}; \${${name}:-default} would do without`;
    return fallback ?? "";
  });
  return problem === undefined ? { kind: "expanded", text: expanded } : { kind: "failed", problem };
}
