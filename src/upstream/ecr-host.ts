/** The host names of Amazon ECR: whose registry it is, and where. */

/** What a registry's host name tells. */
export interface EcrHost {
  readonly account: string;
  readonly region: string;
  /** `dkr.ecr-fips`: the API is to be asked at its FIPS endpoint as well. */
  readonly isFips: boolean;
  /** `dkr-ecr.*.on.aws`: reached by IPv6 too, and so is the API. */
  readonly isDualStack: boolean;
}

/** `<account>.dkr.ecr[-fips].<region>.amazonaws.com` and its sisters in other partitions; the dual-stack ones are `dkr-ecr` and `on.aws`. */
const pattern = new RegExp(
  `^([0-9]{12})\\.dkr[.-]ecr(-fips)?\\.([a-z0-9][a-z0-9-]{0,31})\\.` +
    `(?:amazonaws\\.(?:com(?:\\.cn)?|eu)|(on\\.(?:aws|amazonwebservices\\.com\\.cn))|sc2s\\.sgov\\.gov|c2s\\.ic\\.gov|cloud\\.adc-e\\.uk|csp\\.hci\\.ic\\.gov)$`,
);

/** Undefined when `host` (which may carry a port) is none of Amazon ECR's own: an alias in front of it, or another registry. */
export function findEcrHost(host: string): EcrHost | undefined {
  const [, account, fips, region, dualStack] = pattern.exec(host.toLowerCase().replace(/:[0-9]+$/, "")) ?? [];
  if (account === undefined || region === undefined) return undefined;
  return { account, region, isFips: fips !== undefined, isDualStack: dualStack !== undefined };
}

/**
 * What is wrong with `region` (of providerOpts) for the registry at `host`, in words; undefined when nothing is. The option is used all
 * the same, as it was written: the operator may know better than the name.
 */
export function regionProblem(host: string, region: string | undefined): string | undefined {
  const told = findEcrHost(host)?.region;
  if (region === undefined || told === undefined || region === told) return undefined;
  return `region ${region} in providerOpts, but the host says ${told}`;
}
