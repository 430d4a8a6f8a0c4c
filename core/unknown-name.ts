/**
 * The first name under which an object says something that is none of these, such as one that is mistyped: types refuse
 * it, programs in JavaScript never hear of it.
 */
export function unknownName(object: object, names: readonly string[]): string | undefined {
  return Object.entries(object).find(([name, value]) => value !== undefined && !names.includes(name))?.[0];
}
