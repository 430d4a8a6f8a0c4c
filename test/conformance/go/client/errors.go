package client

import (
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "tercet-conformance/gen/tercet/v1"
)

const domain = "tercet.dev"

// Error is what this side refuses, or finds wrong, by itself. It has a status like the server's, so that
// status.FromError and its details tell both kinds of errors.
type Error struct {
	Reason  pb.ErrorReason
	Message string
}

func (e *Error) Error() string { return ReasonName(e.Reason) + ": " + e.Message }

// GRPCStatus makes the status that a server would have refused with.
func (e *Error) GRPCStatus() *status.Status {
	bare := status.New(e.code(), e.Message)
	detailed, err := bare.WithDetails(&errdetails.ErrorInfo{Reason: ReasonName(e.Reason), Domain: domain})
	if err != nil {
		return bare
	}
	return detailed
}

// code is the canonical code of a reason, as error.proto names it.
func (e *Error) code() codes.Code {
	switch e.Reason {
	case pb.ErrorReason_ERROR_REASON_UNVERIFIED:
		return codes.DataLoss
	case pb.ErrorReason_ERROR_REASON_UNSUPPORTED:
		return codes.Unimplemented
	case pb.ErrorReason_ERROR_REASON_ITEM_HELD,
		pb.ErrorReason_ERROR_REASON_TOKEN_OTHER_HISTORY,
		pb.ErrorReason_ERROR_REASON_TOKEN_COMPACTED:
		return codes.FailedPrecondition
	default:
		return codes.InvalidArgument
	}
}

// ReasonName is a reason without its prefix; empty for none.
func ReasonName(reason pb.ErrorReason) string {
	if reason == pb.ErrorReason_ERROR_REASON_UNSPECIFIED {
		return ""
	}
	return strings.TrimPrefix(reason.String(), "ERROR_REASON_")
}

func refuse(reason pb.ErrorReason, format string, args ...any) error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// outOfOrder: the server said what has no meaning at this point.
func outOfOrder(format string, args ...any) error {
	return refuse(pb.ErrorReason_ERROR_REASON_OUT_OF_ORDER, format, args...)
}

// unsupported: the server said what this client does not know.
func unsupported(format string, args ...any) error {
	return refuse(pb.ErrorReason_ERROR_REASON_UNSUPPORTED, format, args...)
}

// unverified: what arrived is not what its fingerprint says.
func unverified(format string, args ...any) error {
	return refuse(pb.ErrorReason_ERROR_REASON_UNVERIFIED, format, args...)
}
