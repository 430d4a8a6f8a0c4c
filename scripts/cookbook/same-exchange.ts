type Fields = Record<string, unknown>;

/** What a server said in an exchange, whatever the order. */
interface Said {
  readonly verdicts: unknown[];
  readonly changes: unknown[];
  /** All else, of the latest message that has it. */
  rest: Fields;
}

/**
 * Whether two printed answers of SyncService.Exchange say the same. A server works on messages as they come and sends pages
 * between them, so that a page may come before the verdicts or behind them, and a proof with the last change or alone.
 */
export function sameExchange(a: string, b: string): boolean {
  const [one, other] = [saidIn(a), saidIn(b)];
  return one !== undefined && other !== undefined && JSON.stringify(one) === JSON.stringify(other);
}

const KINDS: readonly string[] = ["opened", "verdicts", "page"];

/** Undefined where the text is something else. */
function saidIn(text: string): Said | undefined {
  const said: Said = { verdicts: [], changes: [], rest: {} };
  for (const message of messagesIn(text)) {
    const [kind, value] = message === undefined ? [] : (Object.entries(message)[0] ?? []);
    if (message === undefined || !KINDS.includes(kind ?? "")) return undefined;
    // A checkpoint stands there, or a witness, by whether a page came before.
    if (kind === "verdicts") said.verdicts.push(...asList((value as Fields)["verdicts"]));
    else if (kind === "page") {
      const { changes, ...rest } = value as Fields;
      said.changes.push(...asList(changes));
      said.rest = { ...said.rest, ...rest };
    } else said.rest = { ...said.rest, ...message };
  }
  const rest = Object.entries(said.rest).sort(([x], [y]) => (x < y ? -1 : 1));
  return { ...said, rest: Object.fromEntries(rest) };
}

function messagesIn(text: string): (Fields | undefined)[] {
  return text.split(/(?<=^\})\n/m).map((part) => {
    try {
      return JSON.parse(part) as Fields;
    } catch {
      return undefined;
    }
  });
}

function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
