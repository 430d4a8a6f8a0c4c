package client

// Holds what needs no network against ../../vectors.

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "tercet-conformance/gen/tercet/v1"
)

// read reads a file of vectors, with what is repeated in it written out.
func read(t *testing.T, name string, into any) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	var whole any
	if err := json.Unmarshal(content, &whole); err != nil {
		t.Fatal(err)
	}
	if content, err = json.Marshal(expand(whole)); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatal(err)
	}
}

func expand(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = expand(value[i])
		}
	case map[string]any:
		if repeat, ok := value["$repeat"].(map[string]any); ok {
			count := int(repeat["count"].(float64))
			if text, ok := repeat["text"].(string); ok {
				return strings.Repeat(text, count)
			}
			return slices.Repeat([]any{expand(repeat["item"])}, count)
		}
		for name := range value {
			value[name] = expand(value[name])
		}
	}
	return value
}

func message[M proto.Message](t *testing.T, source json.RawMessage, into M) M {
	t.Helper()
	if err := protojson.Unmarshal(source, into); err != nil {
		t.Fatal(err)
	}
	return into
}

// hexBytes are bytes in hex; null for none.
type hexBytes string

func (h *hexBytes) UnmarshalJSON(source []byte) error {
	var digits string
	if err := json.Unmarshal(source, &digits); err != nil {
		return err
	}
	decoded, err := hex.DecodeString(digits)
	*h = hexBytes(decoded)
	return err
}

func TestFingerprints(t *testing.T) {
	var vectors struct {
		Cases []struct {
			Name, ID string
			Text     *string
			Data     hexBytes
			Seed     *struct {
				Seed string
				Size int
			}
			Fingerprint hexBytes
		}
	}
	read(t, "fingerprints.json", &vectors)
	for _, each := range vectors.Cases {
		content := []byte(each.Data)
		if each.Text != nil {
			content = []byte(*each.Text)
		} else if each.Seed != nil {
			content = seeded(each.Seed.Seed, each.Seed.Size)
		}
		if found := FingerprintOf(each.ID, content); found != Fingerprint(each.Fingerprint) {
			t.Errorf("%s: %x", each.Name, found)
		}
	}
}

func seeded(seed string, size int) []byte {
	var content []byte
	for block := 0; len(content) < size; block++ {
		digest := sha256.Sum256(fmt.Appendf(nil, "%s:%d", seed, block))
		content = append(content, digest[:]...)
	}
	return content[:size]
}

func TestRangeFingerprints(t *testing.T) {
	var vectors struct {
		Cases []struct {
			Name          string
			Add, Subtract []hexBytes
			AddNumbered   int
			Count         int64
			Sum           hexBytes
		}
	}
	read(t, "range-fingerprints.json", &vectors)
	for _, each := range vectors.Cases {
		var total RangeSum
		for _, fingerprint := range each.Add {
			total = total.Plus(SumOf(Fingerprint(fingerprint)))
		}
		for number := range each.AddNumbered {
			content := []byte(strconv.Itoa(number))
			total = total.Plus(SumOf(FingerprintOf(fmt.Sprintf("item-%d", number), content)))
		}
		for _, fingerprint := range each.Subtract {
			total = total.Minus(SumOf(Fingerprint(fingerprint)))
		}
		if total.Count != each.Count || string(total.Bytes()) != string(each.Sum) {
			t.Errorf("%s: %d, %x", each.Name, total.Count, total.Bytes())
		}
	}
}

func TestIDs(t *testing.T) {
	var vectors struct {
		Ordered []string
		IDs     []struct {
			Name, ID string
			Valid    bool
		}
		NotUTF8         []hexBytes
		CollectionNames []struct {
			Name  string
			Valid bool
		}
	}
	read(t, "ids.json", &vectors)
	if !slices.IsSorted(vectors.Ordered) {
		t.Error("ids are in another order")
	}
	for _, each := range vectors.IDs {
		if IsID(each.ID) != each.Valid {
			t.Errorf("%s", each.Name)
		}
	}
	for _, each := range vectors.NotUTF8 {
		if IsID(string(each)) {
			t.Errorf("%x is taken for an id", each)
		}
	}
	for _, each := range vectors.CollectionNames {
		if _, err := NewReplica(each.Name); (err == nil) != each.Valid {
			t.Errorf("%q: %v", each.Name, err)
		}
	}
}

func TestBounds(t *testing.T) {
	var vectors struct {
		Bounds []struct {
			Bounds []string
			Coded  json.RawMessage
		}
		BadBounds []struct {
			Name  string
			Coded json.RawMessage
		}
	}
	read(t, "ids.json", &vectors)
	for _, each := range vectors.Bounds {
		coded := message(t, each.Coded, &pb.IdBounds{})
		if found := encodeBounds(each.Bounds); !proto.Equal(found, coded) {
			t.Errorf("%q is coded as %v", each.Bounds, found)
		}
		if found, err := decodeBounds(coded); err != nil || !slices.Equal(found, each.Bounds) {
			t.Errorf("%v is read as %q, %v", coded, found, err)
		}
	}
	for _, each := range vectors.BadBounds {
		if found, err := decodeBounds(message(t, each.Coded, &pb.IdBounds{})); err == nil {
			t.Errorf("%s: read as %q", each.Name, found)
		}
	}
}

type comparisonState struct {
	Content  string
	Revision int64
}

type comparisonCase struct {
	Client struct {
		Base     *comparisonState
		Pending  *comparisonState
		Sendings []string
	}
	Server     comparisonState
	Fork       int64
	Comparison Comparison
	Because    string
}

func TestCompare(t *testing.T) {
	var vectors struct {
		Contents             map[string]hexBytes
		Cases, RecoveryCases []comparisonCase
	}
	read(t, "comparison.json", &vectors)
	known := func(state *comparisonState) *State {
		if state == nil {
			return nil
		}
		return &State{ID: "x", Fingerprint: Fingerprint(vectors.Contents[state.Content]), Revision: state.Revision}
	}
	check := func(each comparisonCase, compare func(*Entry, []Fingerprint, State) Comparison) {
		client := each.Client
		entry := &Entry{ID: "x", Base: known(client.Base)}
		now := entry.Base
		if client.Pending != nil {
			now, entry.Pending = known(client.Pending), &Pending{}
		}
		if now.fingerprint() != NoItem {
			entry.Mine = &Version{Fingerprint: now.Fingerprint}
		}
		var sendings []Fingerprint
		for _, name := range client.Sendings {
			sendings = append(sendings, Fingerprint(vectors.Contents[name]))
		}
		if found := compare(entry, sendings, *known(&each.Server)); found != each.Comparison {
			t.Errorf("%+v: %s", each, found)
		}
	}
	for _, each := range vectors.Cases {
		check(each, compare)
	}
	for _, each := range vectors.RecoveryCases {
		check(each, func(entry *Entry, sendings []Fingerprint, theirs State) Comparison {
			return compareRecovered(entry, sendings, theirs, each.Fork)
		})
	}
}

func TestJudge(t *testing.T) {
	type judged struct {
		Fingerprint  hexBytes
		ModifyTimeUs int64 `json:",string"`
		GroupTimesUs []string
	}
	type judgement struct {
		Name, Standard string
		Mine, Theirs   judged
		Prevails       Outcome
	}
	var vectors struct{ Judgements, Groups []judgement }
	read(t, "standards.json", &vectors)
	for _, each := range slices.Concat(vectors.Judgements, vectors.Groups) {
		timeUs := each.Mine.ModifyTimeUs
		for _, digits := range each.Mine.GroupTimesUs {
			memberUs, _ := strconv.ParseInt(digits, 10, 64)
			timeUs = max(timeUs, memberUs)
		}
		theirs := State{Fingerprint: Fingerprint(each.Theirs.Fingerprint), TimeUs: each.Theirs.ModifyTimeUs}
		standard := pb.ChangeStandard(pb.ChangeStandard_value[each.Standard])
		if found := judge(standard, Fingerprint(each.Mine.Fingerprint), timeUs, theirs); found != each.Prevails {
			t.Errorf("%s, %s: %s", each.Name, each.Standard, found)
		}
	}
}

func TestPages(t *testing.T) {
	var vectors struct {
		Coded []struct {
			Name    string
			Changes []json.RawMessage
			Page    json.RawMessage
		}
		Read []struct {
			Name                    string
			Page                    json.RawMessage
			Good, Doubtful, Unknown []string
		}
	}
	read(t, "pages.json", &vectors)
	for _, each := range vectors.Coded {
		page := message(t, each.Page, &pb.ChangePage{})
		var whole []*pb.ChangeInfo
		for _, info := range each.Changes {
			whole = append(whole, message(t, info, &pb.ChangeInfo{}))
		}
		found, err := readChanges(page.Changes, page.Fingerprint)
		expected, errWhole := readChanges(whole, nil)
		if err != nil || errWhole != nil || !reflect.DeepEqual(found, expected) {
			t.Errorf("%s: %v, %v, %v", each.Name, found, err, errWhole)
		}
	}
	for _, each := range vectors.Read {
		page := message(t, each.Page, &pb.ChangePage{})
		states, err := readChanges(page.Changes, page.Fingerprint)
		if isUnknown := len(each.Unknown) > 0; isUnknown != (err != nil) {
			t.Errorf("%s: %v", each.Name, err)
		} else if isUnknown {
			continue
		}
		var good, doubtful []string
		for _, state := range states {
			if state.Fingerprint == unproved {
				doubtful = append(doubtful, state.ID)
			} else {
				good = append(good, state.ID)
			}
		}
		if !slices.Equal(good, each.Good) || !slices.Equal(doubtful, each.Doubtful) {
			t.Errorf("%s: good %q, doubtful %q", each.Name, good, doubtful)
		}
	}
}
