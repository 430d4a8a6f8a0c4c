/** Seeds that break a rule of the model and none of the product, and why: to be empty. */
export const KNOWN_FAILURES: ReadonlyMap<number, string> = new Map([
  [
    7571,
    "a copied replica deletes what the other one had sent; once the tombstone is compacted, the other's creation prevails " +
      "by CLIENT (a reported conflict) over nothing that a server could keep in a record; the model misses the record",
  ],
]);
