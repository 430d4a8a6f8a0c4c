package client

// What both sides must compute alike: fingerprints of items, sums of fingerprints, ids, and bounds between them.
// vectors/fingerprints.json, range-fingerprints.json and ids.json hold examples of all of it. The order of ids, by
// their UTF-8 bytes, needs nothing here: it is how Go compares strings.

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf8"

	pb "tercet-conformance/gen/tercet/v1"
)

const (
	mostIDBytes    = 512
	mostBoundBytes = 516
)

// Fingerprint says what an item is: the 32 bytes of a SHA-256. It is a string so that it can be compared, and can't
// change. Everywhere in this client the empty one, NoItem, is "no such item", or a deleted one.
type Fingerprint string

const (
	// NoItem is in place of the fingerprint of an item that is not there.
	NoItem Fingerprint = ""
	// unproved marks a state whose content did not agree with what it was told with: it has to be fetched. No
	// fingerprint has its length.
	unproved Fingerprint = "unproved"
)

// FingerprintOf computes the fingerprint of an item.
func FingerprintOf(id string, content []byte) Fingerprint {
	hash := sha256.New()
	hash.Write([]byte(id))
	hash.Write([]byte{0})
	hash.Write(content)
	return Fingerprint(hash.Sum(nil))
}

// RangeSum is a range fingerprint: the number of items, and the sum of their fingerprints modulo 2^256.
type RangeSum struct {
	Count int64
	words [4]uint64 // the lowest first
}

// SumOf is the sum that one item comes to; no item comes to nothing.
func SumOf(fingerprint Fingerprint) RangeSum {
	if fingerprint == NoItem {
		return RangeSum{}
	}
	sum := RangeSum{Count: 1}
	for i := range sum.words {
		sum.words[i] = binary.LittleEndian.Uint64([]byte(fingerprint[8*i:]))
	}
	return sum
}

// Plus adds two sums. What is carried beyond 2^256 is dropped.
func (s RangeSum) Plus(other RangeSum) RangeSum {
	sum := RangeSum{Count: s.Count + other.Count}
	var carry uint64
	for i := range sum.words {
		sum.words[i], carry = bits.Add64(s.words[i], other.words[i], carry)
	}
	return sum
}

// Minus undoes Plus.
func (s RangeSum) Minus(other RangeSum) RangeSum {
	sum := RangeSum{Count: s.Count - other.Count}
	var borrow uint64
	for i := range sum.words {
		sum.words[i], borrow = bits.Sub64(s.words[i], other.words[i], borrow)
	}
	return sum
}

// Bytes are the 32 bytes of the sum; the first 8 of them are its low ones.
func (s RangeSum) Bytes() []byte {
	var sum []byte
	for _, word := range s.words {
		sum = binary.LittleEndian.AppendUint64(sum, word)
	}
	return sum
}

// IsID tells whether an id is a good one: 1 to 512 bytes of UTF-8 without control characters.
func IsID(id string) bool {
	return id != "" && len(id) <= mostIDBytes && utf8.ValidString(id) && !strings.ContainsFunc(id, unicode.IsControl)
}

// encodeBounds codes ascending bounds: each as the bytes (in whole characters) that it shares with the one before it,
// and the rest.
func encodeBounds(bounds []string) *pb.IdBounds {
	coded := &pb.IdBounds{}
	before := ""
	for _, bound := range bounds {
		shared := 0
		for shared < len(before) && shared < len(bound) && before[shared] == bound[shared] {
			shared++
		}
		for shared < len(bound) && !utf8.RuneStart(bound[shared]) {
			shared--
		}
		coded.Shared = append(coded.Shared, uint32(shared))
		coded.Rest = append(coded.Rest, bound[shared:])
		before = bound
	}
	return coded
}

var errBounds = errors.New("bounds of ids do not ascend, are too long, or are cut in mid-character")

// decodeBounds is the inverse of encodeBounds; it refuses what that would not have made of ascending bounds.
func decodeBounds(coded *pb.IdBounds) ([]string, error) {
	shared, rest := coded.GetShared(), coded.GetRest()
	if len(shared) != len(rest) {
		return nil, errBounds
	}
	var bounds []string
	before := ""
	for i := range shared {
		if int64(shared[i]) > int64(len(before)) {
			return nil, errBounds
		}
		bound := before[:shared[i]] + rest[i]
		if len(bound) > mostBoundBytes || bound <= before || !utf8.ValidString(bound) {
			return nil, errBounds
		}
		bounds = append(bounds, bound)
		before = bound
	}
	return bounds, nil
}
