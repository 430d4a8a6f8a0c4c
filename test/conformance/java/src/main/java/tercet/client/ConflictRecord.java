package tercet.client;

import com.google.protobuf.ByteString;
import tercet.v1.ChangeStandard;

/** A version of this side (null: a deletion) that gave way to another, by a standard. */
public record ConflictRecord(
    String id, Version version, long timeUs, ByteString prevailed, ChangeStandard standard) {}
