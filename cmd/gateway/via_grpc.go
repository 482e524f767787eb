package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
)

// callGRPC calls a tool through the gRPC door. It speaks TLS where --addr is
// an https URL.
func (a *app) callGRPC(ctx context.Context, name string, args json.RawMessage, progress func(gateway.Progress)) (*gateway.Result, error) {
	creds := insecure.NewCredentials()
	if strings.HasPrefix(a.addr, "https:") {
		creds = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	conn, err := grpc.NewClient(a.grpcAddr, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxEvent)))
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // The answer is here.
	if token := os.Getenv(tokenVariable); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	stream, err := gatewayv1.NewGatewayServiceClient(conn).CallToolStream(ctx, &gatewayv1.CallToolStreamRequest{Name: name, ArgumentsJson: string(args)})
	if err != nil {
		return nil, fromStatus(err)
	}
	for {
		e, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errNoResult
		case err != nil:
			return nil, fromStatus(err)
		case e.GetResult() != nil:
			return &gateway.Result{Raw: json.RawMessage(e.GetResult().GetResultJson()), IsError: e.GetResult().GetIsError()}, nil
		case e.GetProgress() != nil && progress != nil:
			p := e.GetProgress()
			out := gateway.Progress{Progress: number(p.GetProgress()), Message: p.GetMessage()}
			if p.Total != nil {
				out.Total = number(p.GetTotal())
			}
			progress(out)
		}
	}
}

func number(f float64) json.Number { return json.Number(strconv.FormatFloat(f, 'g', -1, 64)) }

// fromStatus returns what a call's status says as our own error.
func fromStatus(err error) error {
	s := status.Convert(err)
	if s.Code() == codes.Unauthenticated {
		return &gateway.Error{Code: gateway.Unauthenticated, By: "gateway", Msg: s.Message()}
	}
	return errors.New(s.Message())
}
