// The loop that the conformance kit drives: one JSON object a line, and one line for each. See ../README.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tercet-conformance/client"
	pb "tercet-conformance/gen/tercet/v1"
)

type object = map[string]any

type request struct {
	N               int64
	Do              string
	Replica         string
	To              string
	Collection      string
	Us              int64
	Server          string
	Standard        string
	Create          bool
	Recreate        bool
	OnHistoryChange client.HistoryChange `json:"on_history_change"`
	TimeoutMs       int64                `json:"timeout_ms"`
	Changes         []change
	How             client.Outcome
	change
}

// change is of one item: a text, or data, or neither, where it is deleted.
type change struct {
	ID   string
	Text *string
	Data []byte
}

func (c change) version() *client.Version {
	switch {
	case c.Text != nil:
		return client.NewVersion(c.ID, []byte(*c.Text), true)
	case c.Data != nil:
		return client.NewVersion(c.ID, c.Data, false)
	default:
		return nil
	}
}

// testee is what the kit talks to. Exchanges run beside the loop; only that uses the table of replicas.
type testee struct {
	replicas map[string]*client.Replica
	clockUs  atomic.Int64 // 0: the real clock
	output   sync.Mutex
}

func main() {
	t := &testee{replicas: map[string]*client.Replica{}}
	requests := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var request request
		if err := requests.Decode(&request); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		replica := t.replicas[request.Replica]
		if request.Do == "sync" {
			// Writes go on while an exchange runs.
			go t.answer(request.N, func() (object, error) { return t.sync(replica, request) })
		} else {
			t.answer(request.N, func() (object, error) { return t.carryOut(replica, request) })
		}
	}
}

func (t *testee) nowUs() int64 {
	if us := t.clockUs.Load(); us != 0 {
		return us
	}
	return time.Now().UnixMicro()
}

// answer writes a line. A panic is a bug of the client: told, and the loop goes on.
func (t *testee) answer(n int64, do func() (object, error)) {
	said := object{"n": n}
	func() {
		defer func() {
			if reason := recover(); reason != nil {
				fmt.Fprintf(os.Stderr, "%v\n%s", reason, debug.Stack())
				said["error"] = object{"code": "INTERNAL", "reason": "", "message": fmt.Sprint(reason)}
			}
		}()
		if ok, err := do(); err != nil {
			said["error"] = fromError(err)
		} else {
			said["ok"] = ok
		}
	}()
	line, err := json.Marshal(said)
	if err != nil {
		panic(err) // maps of strings and numbers can be written
	}
	t.output.Lock()
	defer t.output.Unlock()
	fmt.Printf("%s\n", line)
}

// fromError tells of an error of the server, or of this side, which has the same details.
func fromError(err error) object {
	found := status.Convert(err)
	told := object{"code": codeName(found.Code()), "reason": "", "message": found.Message()}
	for _, detail := range found.Details() { // what can't be read is an error among them
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			told["reason"] = detail.Reason
		case *errdetails.BadRequest:
			var fields []string
			for _, violation := range detail.FieldViolations {
				fields = append(fields, violation.Field)
			}
			told["fields"] = fields
		case *errdetails.RetryInfo:
			if detail.RetryDelay != nil {
				told["retry_after_ms"] = detail.RetryDelay.AsDuration().Milliseconds()
			}
		}
	}
	return told
}

// codeName is the canonical name of a code, which Go spells otherwise: FailedPrecondition, FAILED_PRECONDITION.
func codeName(code codes.Code) string {
	if code == codes.Canceled {
		return "CANCELLED"
	}
	var name strings.Builder
	for i, letter := range code.String() {
		if i > 0 && letter >= 'A' && letter <= 'Z' {
			name.WriteByte('_')
		}
		name.WriteRune(letter)
	}
	return strings.ToUpper(name.String())
}

func (t *testee) sync(replica *client.Replica, request request) (object, error) {
	ctx := context.Background()
	if request.TimeoutMs > 0 {
		limited, cancel := context.WithTimeout(ctx, time.Duration(request.TimeoutMs)*time.Millisecond)
		defer cancel()
		ctx = limited
	}
	report, err := client.Sync(ctx, replica, client.Options{
		Server:          request.Server,
		Standard:        pb.ChangeStandard(pb.ChangeStandard_value["CHANGE_STANDARD_"+request.Standard]),
		Create:          request.Create,
		Recreate:        request.Recreate,
		OnHistoryChange: request.OnHistoryChange,
		NowUs:           t.nowUs,
	})
	if err != nil {
		return nil, err
	}
	return fromReport(report), nil
}

func (t *testee) carryOut(replica *client.Replica, request request) (object, error) {
	switch request.Do {
	case "hello":
		features := []string{"groups", "chunks", "reconcile", "manual", "concurrent"}
		return object{"name": "tercet reference client, Go", "features": features}, nil
	case "set_clock":
		t.clockUs.Store(request.Us)
		return object{}, nil
	case "open":
		opened, err := client.NewReplica(request.Collection)
		if err != nil {
			return nil, err
		}
		t.replicas[request.Replica] = opened
		return object{}, nil
	case "close":
		delete(t.replicas, request.Replica)
		return object{}, nil
	}
	if replica == nil {
		return nil, unknown(request.Do)
	}
	replica.Lock()
	defer replica.Unlock()
	if request.Do == "copy" {
		t.replicas[request.To] = replica.Copy()
		return object{}, nil
	}
	return carryOut(replica, request, t.nowUs())
}

func carryOut(replica *client.Replica, request request, nowUs int64) (object, error) {
	entry := replica.Entry(request.ID)
	switch request.Do {
	case "put":
		return object{}, replica.Write(request.ID, request.version(), nowUs)
	case "delete":
		wasThere := entry.Mine != nil
		return object{"deleted": wasThere}, replica.Write(request.ID, nil, nowUs)
	case "transaction":
		var changes []client.Change
		for _, each := range request.Changes {
			changes = append(changes, client.Change{ID: each.ID, Version: each.version()})
		}
		return object{}, replica.Transaction(changes, nowUs)
	case "resolve":
		if request.How != "" {
			return object{}, replica.Resolve(request.ID, request.How, nowUs)
		}
		return object{}, replica.ResolveWith(request.ID, request.version(), nowUs)
	case "lose_checkpoint":
		replica.LoseCheckpoint()
		return object{}, nil
	}
	return look(replica, request.Do, entry)
}

// look answers the requests that change nothing.
func look(replica *client.Replica, do string, entry *client.Entry) (object, error) {
	isThere := func(entry *client.Entry) bool { return entry.Mine != nil }
	isHeld := func(entry *client.Entry) bool { return entry.Pending != nil && entry.Pending.Held }
	switch do {
	case "get":
		if !isThere(entry) {
			return object{"item": nil}, nil
		}
		return object{"item": withContent(fromItem(entry), entry.Mine)}, nil
	case "list":
		return object{"items": listOf(replica.Sorted(), isThere, fromItem)}, nil
	case "pending":
		all := func(*client.Entry) bool { return true }
		return object{"pending": listOf(replica.Pending(), all, fromPending)}, nil
	case "held":
		return object{"held": listOf(replica.Sorted(), isHeld, fromHeld)}, nil
	case "conflicts":
		return object{"conflicts": fromConflicts(replica.Conflicts)}, nil
	case "status":
		told := object{
			"items":     len(listOf(replica.Sorted(), isThere, fromItem)),
			"pending":   len(replica.Pending()),
			"held":      len(listOf(replica.Pending(), isHeld, fromItem)),
			"conflicts": len(replica.Conflicts),
		}
		return withSums(told, replica.Checkpoint.GetRevision(), replica.Total), nil
	default:
		return nil, unknown(do)
	}
}

func unknown(do string) error {
	return &client.Error{
		Reason:  pb.ErrorReason_ERROR_REASON_UNSUPPORTED,
		Message: fmt.Sprintf("there is no request %q, or not of this replica", do),
	}
}

func listOf(entries []*client.Entry, is func(*client.Entry) bool, from func(*client.Entry) object) []object {
	list := []object{} // an empty one is [], not null
	for _, entry := range entries {
		if is(entry) {
			list = append(list, from(entry))
		}
	}
	return list
}

func withSums(told object, revision int64, total client.RangeSum) object {
	told["revision"], told["count"], told["fingerprint"] = revision, total.Count, fmt.Sprintf("%x", total.Bytes())
	return told
}

func withContent(told object, version *client.Version) object {
	if version.IsText {
		told["text"] = string(version.Data)
	} else {
		told["data"] = append([]byte{}, version.Data...) // no bytes are "", not null
	}
	return told
}

// fromVersion makes null of a deletion.
func fromVersion(version *client.Version) any {
	if version == nil {
		return nil
	}
	return withContent(object{}, version)
}

func kindOf(version *client.Version) string {
	if version == nil {
		return "deleted"
	}
	return "upserted"
}

func fromFingerprint(fingerprint client.Fingerprint) any {
	if fingerprint == client.NoItem {
		return nil
	}
	return fmt.Sprintf("%x", string(fingerprint))
}

func standardName(standard pb.ChangeStandard) string {
	return strings.TrimPrefix(standard.String(), "CHANGE_STANDARD_")
}

func fromItem(entry *client.Entry) object {
	told := object{"id": entry.ID, "modify_time_us": entry.TimeUs, "pending": false}
	if entry.Mine != nil {
		isBase := entry.Base != nil && entry.Base.Fingerprint == entry.Mine.Fingerprint
		told["fingerprint"] = fromFingerprint(entry.Mine.Fingerprint)
		told["pending"] = entry.Pending != nil && !isBase
	}
	return told
}

func fromPending(entry *client.Entry) object {
	return object{
		"id":       entry.ID,
		"kind":     kindOf(entry.Mine),
		"held":     entry.Pending.Held,
		"group":    entry.Pending.Group,
		"rejected": client.ReasonName(entry.Pending.Rejected),
	}
}

func fromHeld(entry *client.Entry) object {
	told := object{"id": entry.ID, "mine": fromVersion(entry.Mine), "theirs": nil}
	if entry.Base != nil {
		told["theirs"] = fromVersion(entry.Base.Version)
	}
	return told
}

// fromConflicts tells the latest first.
func fromConflicts(records []client.ConflictRecord) []object {
	list := make([]object, len(records))
	for i, record := range records {
		told := object{
			"id":          record.ID,
			"kind":        kindOf(record.Version),
			"fingerprint": nil,
			"prevailed":   fromFingerprint(record.Prevailed),
			"standard":    standardName(record.Standard),
		}
		if record.Version != nil {
			told["fingerprint"] = fromFingerprint(record.Version.Fingerprint)
			withContent(told, record.Version)
		}
		list[len(records)-1-i] = told
	}
	return list
}

func fromReport(report *client.Report) object {
	conflicts, rejected, contended := []object{}, []object{}, []string{}
	for id, conflict := range report.Conflicts {
		told := object{"id": id, "standard": standardName(conflict.Standard), "prevailed": conflict.Prevailed}
		conflicts = append(conflicts, told)
	}
	for id, reason := range report.Rejected {
		rejected = append(rejected, object{"id": id, "reason": client.ReasonName(reason)})
	}
	for id := range report.Contended {
		contended = append(contended, id)
	}
	told := object{
		"standard":       standardName(report.Standard),
		"received":       report.Received,
		"deleted":        report.Deleted,
		"sent":           report.Sent,
		"sent_deletions": report.SentDeleted,
		"settled":        report.Settled,
		"conflicts":      conflicts,
		"rejected":       rejected,
		"contended":      contended,
		"round_trips":    report.RoundTrips,
		"recovery":       nil,
		"verified":       report.Verified,
	}
	if recovery := report.Recovery; recovery != nil {
		offered := append([]string{}, recovery.Offered...)
		told["recovery"] = object{"why": recovery.Why, "offered": offered}
	}
	return withSums(told, report.Revision, report.Total)
}
