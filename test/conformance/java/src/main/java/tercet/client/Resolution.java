package tercet.client;

/** How a held conflict is to end. */
public sealed interface Resolution {
  /** The change of this side prevails. */
  record Mine() implements Resolution {}

  /** The change of the server prevails. */
  record Theirs() implements Resolution {}

  /** A version of its own (null: a deletion) prevails over both. */
  record Own(Version version) implements Resolution {}
}
