package client

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	pb "tercet-conformance/gen/tercet/v1"
)

// stream is the stream of an exchange, sent to and read by one goroutine. That can't deadlock: the server reads on
// while it writes, and what this client sends without waiting for an answer fits into the window.
type stream struct {
	connection *grpc.ClientConn
	call       pb.SyncService_ExchangeClient
	cancel     context.CancelFunc
	// Held by the caller, and left to others while the server is waited for, and only then. So what is sent waits in
	// outbox until something is to be read. Nil in it: half-close.
	lock   sync.Locker
	outbox []*pb.ExchangeRequest
	// Messages that came before the one that was waited for.
	putOff []*pb.ExchangeResponse
	// New epochs may be told at any time, and count at once.
	epochBegun func(*pb.Epoch)
}

func openStream(ctx context.Context, server string) (*stream, error) {
	connection, err := grpc.NewClient(
		server,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// A server that is gone without a word is found out by pings; more frequent ones would be taken for an
		// attack.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 5 * time.Minute}),
	)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	call, err := pb.NewSyncServiceClient(connection).Exchange(ctx)
	if err != nil {
		cancel()
		_ = connection.Close() // it has nothing else to say
		return nil, err
	}
	return &stream{connection: connection, call: call, cancel: cancel}, nil
}

func (s *stream) send(request *pb.ExchangeRequest) {
	s.outbox = append(s.outbox, request)
}

// receive reads the next message: one that was put off before, or one that comes.
func (s *stream) receive() (*pb.ExchangeResponse, error) {
	if len(s.putOff) > 0 {
		response := s.putOff[0]
		s.putOff = s.putOff[1:]
		return response, nil
	}
	return s.read()
}

// receiveOnly reads the next message that is wanted. Others that come first are put off, in order.
func (s *stream) receiveOnly(isWanted func(*pb.ExchangeResponse) bool) (*pb.ExchangeResponse, error) {
	for {
		response, err := s.read()
		if err != nil || isWanted(response) {
			return response, err
		}
		s.putOff = append(s.putOff, response)
	}
}

func (s *stream) read() (*pb.ExchangeResponse, error) {
	for {
		response, err := s.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, outOfOrder("the server ended the exchange before it was through")
		case err != nil:
			return nil, err
		case response.GetEpochBegun().GetEpoch() != nil:
			s.epochBegun(response.GetEpochBegun().Epoch)
		case response.Message != nil: // else one that this client does not know, and is none to it
			return response, nil
		}
	}
}

// next sends what waits, and reads one message; io.EOF at the end of the stream.
func (s *stream) next() (*pb.ExchangeResponse, error) {
	outbox := s.outbox
	s.outbox = nil
	s.lock.Unlock()
	defer s.lock.Lock()
	for _, request := range outbox {
		// Of a stream that the server has ended, reading tells why.
		if err := s.write(request); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	return s.call.Recv()
}

func (s *stream) write(request *pb.ExchangeRequest) error {
	if request == nil {
		return s.call.CloseSend()
	}
	return s.call.Send(request)
}

// finish half-closes, and waits for the server's end of the stream.
func (s *stream) finish() error {
	s.send(nil)
	for {
		if _, err := s.next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// close ends the call at once, where it has not ended.
func (s *stream) close() {
	s.cancel()
	_ = s.connection.Close() // it has no other calls
}
