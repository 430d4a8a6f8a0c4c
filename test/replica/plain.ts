/** What a replica answers as plain data, to be held against what another one does: bytes as hex, whatever they are kept in. */
export function plain(answers: unknown): unknown {
  return JSON.parse(JSON.stringify(answers, bytesAsHex));
}

/** For JSON.stringify. */
export function bytesAsHex(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  const { type, data } = (value ?? {}) as { type?: unknown; data?: number[] };
  return type === "Buffer" ? Buffer.from(data ?? []).toString("hex") : value;
}
