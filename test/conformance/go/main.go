package main

import (
	tercet "tercet-conformance/gen/tercet/v1"

	_ "google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
)

func main() { var c *grpc.ClientConn; _ = tercet.NewSyncServiceClient(c) }
