import { milliseconds } from "./print.js";
import type { Measured } from "./summary.js";

/** One bar. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** The value in words. */
  readonly text: string;
  readonly own: boolean;
}

/** Bars that share a scale. */
export interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 760;
const MARGIN = 12;
const LABEL_WIDTH = 230;
const VALUE_WIDTH = 110;
const BAR_HEIGHT = 16;
const ROW_HEIGHT = 22;
const TITLE_HEIGHT = 26;
const PANEL_GAP = 14;
/** Too short a bar is taken for none. */
const LEAST_BAR = 1.5;
/** In the middle between black and white, so that they are read on either; there is no background. */
const COLORS = { text: "#7a828c", own: "#2f81f7", other: "#9aa4af" } as const;

/** Names of contenders as a reader of the chart knows them. */
const LABELS: Readonly<Record<string, string>> = {
  tercet: "Tercet",
  bare: "bare copy (no verification)",
  "bare-full": "bare copy, every commit fsynced",
  rest: "REST /changes, express",
  pouchdb: "PouchDB, express-pouchdb",
  nats: "NATS JetStream KV",
  etcd: "etcd",
};

/** What the chart shows of the measured: items a second of W1 and W2, and times of W3 and W4, where they were measured. */
export function panelsOf(measured: readonly Measured[]): Panel[] {
  const shown = [
    { name: "W1", rates: true, unit: "items a second, more is better" },
    { name: "W2", rates: true, unit: "items a second, more is better" },
    { name: "W3", rates: false, unit: "less is better" },
    { name: "W4", rates: false, unit: "less is better" },
  ];
  return shown.flatMap(({ name, rates, unit }): Panel[] => {
    const first = measured.find(({ scenario }) => scenario.name === name);
    if (first === undefined) return [];
    const { title, items } = first.scenario;
    const same = measured.filter(({ scenario }) => scenario.name === name && scenario.items === items);
    const bars = same.map(({ contender, ms, itemsPerSecond }): Bar => {
      const value = rates ? (itemsPerSecond?.median ?? 0) : ms.median;
      const text = rates ? (Math.round(value / 100) * 100).toLocaleString("en-US") : milliseconds(value);
      return { label: LABELS[contender] ?? contender, value, text, own: contender === "tercet" };
    });
    return [{ title: `${capital(title)}, ${items.toLocaleString("en-US")} items: ${unit}`, bars }];
  });
}

/** Draws the panels one below the other, as an SVG file. */
export function drawChart(panels: readonly Panel[]): string {
  const parts: string[] = [];
  let y = MARGIN;
  for (const { title, bars } of panels) {
    parts.push(text(MARGIN, y + TITLE_HEIGHT / 2, title, "start", 600));
    y += TITLE_HEIGHT;
    const greatest = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE);
    for (const bar of bars) {
      parts.push(drawBar(bar, y, greatest));
      y += ROW_HEIGHT;
    }
    y += PANEL_GAP;
  }
  const size = `width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}"`;
  const font = `font-family="system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif" font-size="13"`;
  const name = "Tercet beside other ways to synchronise";
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font} role="img" aria-label="${name}">\n${parts.join("")}</svg>\n`;
}

function drawBar({ label, value, text: words, own }: Bar, y: number, greatest: number): string {
  const room = WIDTH - LABEL_WIDTH - VALUE_WIDTH - 2 * MARGIN;
  const width = Math.max(LEAST_BAR, (room * value) / greatest).toFixed(1);
  const x = MARGIN + LABEL_WIDTH;
  const middle = y + ROW_HEIGHT / 2;
  const color = own ? COLORS.own : COLORS.other;
  const weight = own ? 600 : 400;
  return (
    text(x - 8, middle, label, "end", weight) +
    `<rect x="${x}" y="${middle - BAR_HEIGHT / 2}" width="${width}" height="${BAR_HEIGHT}" rx="2" fill="${color}"/>\n` +
    text(x + Number(width) + 6, middle, words, "start", weight)
  );
}

function text(x: number, y: number, words: string, anchor: "start" | "end", weight: number): string {
  const place = `x="${x.toFixed(1)}" y="${y}" dominant-baseline="central" text-anchor="${anchor}"`;
  return `<text ${place} font-weight="${weight}" fill="${COLORS.text}">${escaped(words)}</text>\n`;
}

function escaped(words: string): string {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function capital(words: string): string {
  return words.slice(0, 1).toUpperCase() + words.slice(1);
}
