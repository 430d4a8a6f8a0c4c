import type { Line } from "./exchange.js";

/** What stands at the side of the messages of a turn. */
export type Captions = readonly (readonly string[])[];

const WIDTH = 840;
const CAPTION_WIDTH = 184;
const CLIENT_X = CAPTION_WIDTH + 14;
const SERVER_X = WIDTH - 60;
const TOP = 44;
const ROW_HEIGHT = 38;
const TURN_GAP = 22;
const BOTTOM = 16;
const ARROW = 7;
/** In the middle between black and white, so that they are read on either; there is no background. */
const COLORS = { text: "#7a828c", line: "#9aa4af", client: "#2f81f7", server: "#2da44e" } as const;

/** Draws an exchange, from top to bottom, as an SVG file. A turn is what one side says before the other answers. */
export function drawExchange(lines: readonly Line[], captions: Captions): string {
  const parts: string[] = [];
  let y = TOP;
  let turn = -1;
  for (const [at, line] of lines.entries()) {
    if (line.from !== lines[at - 1]?.from) {
      turn += 1;
      if (at > 0) y += TURN_GAP;
      parts.push(...drawCaption(captions[turn] ?? [], y));
    }
    parts.push(drawMessage(line, y));
    y += ROW_HEIGHT;
  }
  const height = y + BOTTOM;
  const size = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  const font = `font-family="system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif" font-size="13"`;
  const name = "An exchange: the messages between client and server, with their sizes";
  const sides = [drawSide("client", CLIENT_X, COLORS.client, y), drawSide("server", SERVER_X, COLORS.server, y)];
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font} role="img" aria-label="${name}">\n${[...sides, ...parts].join("")}</svg>\n`;
}

function drawSide(name: string, x: number, color: string, to: number): string {
  const line = `<line x1="${x}" y1="${TOP - 12}" x2="${x}" y2="${to}" stroke="${color}" stroke-width="2"/>\n`;
  return text({ x, y: TOP - 24, words: name, anchor: "middle", weight: 600, color }) + line;
}

function drawCaption(words: readonly string[], y: number): string[] {
  return words.map((each, at) => {
    const weight = /^\d/.test(each) ? 600 : 400;
    return text({ x: CAPTION_WIDTH, y: y + 10 + at * 17, words: each, anchor: "end", weight, color: COLORS.text });
  });
}

function drawMessage({ from, name, detail, bytes }: Line, y: number): string {
  const [x1, x2] = from === "client" ? [CLIENT_X + 2, SERVER_X - 2] : [SERVER_X - 2, CLIENT_X + 2];
  const color = bytes === undefined ? COLORS.line : COLORS[from];
  const at = y + 22;
  const back = from === "client" ? -ARROW : ARROW;
  const dashes = bytes === undefined ? ' stroke-dasharray="4 4"' : "";
  const line = `<line x1="${x1}" y1="${at}" x2="${x2 + back}" y2="${at}" stroke="${color}" stroke-width="1.5"${dashes}/>\n`;
  const tip = `<path d="M${x2} ${at}l${back} ${-ARROW / 2}v${ARROW}z" fill="${color}"/>\n`;
  const words = `<tspan font-weight="600">${escaped(name)}</tspan>${detail === "" ? "" : `  ${escaped(detail)}`}`;
  const label = rawText({ x: CLIENT_X + 14, y: at - 9, words, anchor: "start", weight: 400, color: COLORS.text });
  const size = bytes === undefined ? "" : `${bytes.toLocaleString("en-US")} B`;
  const weighed = { x: SERVER_X - 14, y: at - 9, words: size, anchor: "end", weight: 400, color: COLORS.text } as const;
  return line + tip + label + (size === "" ? "" : text(weighed));
}

interface Words {
  readonly x: number;
  readonly y: number;
  readonly words: string;
  readonly anchor: "start" | "middle" | "end";
  readonly weight: number;
  readonly color: string;
}

function text(given: Words): string {
  return rawText({ ...given, words: escaped(given.words) });
}

function rawText({ x, y, words, anchor, weight, color }: Words): string {
  const place = `x="${x}" y="${y}" dominant-baseline="central" text-anchor="${anchor}"`;
  return `<text ${place} font-weight="${weight}" fill="${color}" xml:space="preserve">${words}</text>\n`;
}

function escaped(words: string): string {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
