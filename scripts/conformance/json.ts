/** What a line between kit and testee may say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/** An object of a line. */
export type JsonObject = { readonly [key: string]: Json | undefined };

/** In ASCII, so that no testee has to know how its input is encoded. */
export function toAscii(value: Json): string {
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
