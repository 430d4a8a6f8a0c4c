import { readVectors, unhex } from "./read.js";

/*
 * The cases of comparison.json and standards.json, as whoever compares and judges is given them: with fingerprints for the
 * names of contents, and numbers for times.
 */

type Print = Uint8Array | undefined;

/** A state of an item: a fingerprint (undefined: no item), as of a revision. */
interface State {
  readonly fingerprint: Print;
  readonly revision: number;
}

/** One cell of the comparison table. */
export interface ComparisonCase {
  /** What the file says, for a failure. */
  readonly label: string;
  readonly client: {
    readonly base: State | undefined;
    readonly pending: { readonly fingerprint: Print } | undefined;
    readonly sendings: readonly Print[];
  };
  readonly server: State;
  /** Of a recovery. */
  readonly fork: number | undefined;
  readonly comparison: string;
}

interface StateJson {
  readonly content: string | null;
  readonly revision: number;
}

interface CaseJson {
  readonly client: {
    readonly base?: StateJson;
    readonly pending?: { readonly content: string | null };
    readonly sendings: readonly (string | null)[];
  };
  readonly server: StateJson;
  readonly fork?: number;
  readonly comparison: string;
}

/** All cases of comparison.json, those of a recovery at the end, and the names of all comparisons. */
export function readComparisons(): { readonly cases: readonly ComparisonCase[]; readonly names: readonly string[] } {
  const { contents, comparisons, cases, recoveryCases } = readVectors<{
    readonly contents: Readonly<Record<string, string>>;
    readonly comparisons: Readonly<Record<string, string>>;
    readonly cases: readonly CaseJson[];
    readonly recoveryCases: readonly CaseJson[];
  }>("comparison.json");
  const print = (content: string | null): Print => (content === null ? undefined : unhex(contents[content] as string));
  const state = ({ content, revision }: StateJson): State => ({ fingerprint: print(content), revision });
  const read = (json: CaseJson): ComparisonCase => {
    const { base, pending, sendings } = json.client;
    return {
      label: JSON.stringify(json),
      client: {
        base: base && state(base),
        pending: pending && { fingerprint: print(pending.content) },
        sendings: sendings.map(print),
      },
      server: state(json.server),
      fork: json.fork,
      comparison: json.comparison,
    };
  };
  return { cases: [...cases, ...recoveryCases].map(read), names: Object.keys(comparisons) };
}

/** A version as a standard judges it. */
interface Judged {
  readonly fingerprint: Print;
  readonly timeUs: number;
}

/** What a standard makes of two versions. */
export interface Judgement {
  readonly name: string;
  readonly standard: string;
  readonly mine: Judged;
  readonly theirs: Judged;
  readonly prevails: string;
}

interface SideJson {
  readonly fingerprint: string | null;
  readonly modifyTimeUs?: string;
  readonly groupTimesUs?: readonly string[];
}

/** The judgements of standards.json, on items and on groups. */
export function readJudgements(): readonly Judgement[] {
  type JudgementJson = Omit<Judgement, "mine" | "theirs"> & { readonly mine: SideJson; readonly theirs: SideJson };
  const { judgements, groups } =
    readVectors<Readonly<Record<"judgements" | "groups", readonly JudgementJson[]>>>("standards.json");
  const side = ({ fingerprint, modifyTimeUs = "0", groupTimesUs = [modifyTimeUs] }: SideJson): Judged => {
    const timeUs = Math.max(...groupTimesUs.map(Number));
    return { fingerprint: fingerprint === null ? undefined : unhex(fingerprint), timeUs };
  };
  return [...judgements, ...groups].map((each) => ({ ...each, mine: side(each.mine), theirs: side(each.theirs) }));
}
