package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	token, err := a.token(a.grpcAddr)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(a.grpcAddr, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxEvent)))
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // The answer is here.
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	stream, err := gatewayv1.NewGatewayServiceClient(conn).CallToolStream(ctx, &gatewayv1.CallToolStreamRequest{Name: name, ArgumentsJson: string(args)})
	if err != nil {
		return nil, a.fromStatus(err)
	}
	for {
		e, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errNoResult
		case err != nil:
			return nil, a.fromStatus(err)
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
func (a *app) fromStatus(err error) error {
	s := status.Convert(err)
	switch {
	// The library gives what it made itself no type, only these words.
	case strings.HasPrefix(s.Message(), "connection error: ") && strings.Contains(s.Message(), "while dialing"):
		_, cause, _ := strings.Cut(s.Message(), "while dialing: ")
		return fmt.Errorf("cannot reach the gateway at %s: %s", a.grpcAddr, strings.Trim(cause, `"`))
	case strings.HasPrefix(s.Message(), "connection error: "), strings.HasPrefix(s.Message(), "unexpected HTTP status"):
		return notGateway{a.grpcAddr, "gRPC", errors.New(s.Message())}
	case s.Code() == codes.OK || int(s.Code()) >= gateway.CodeCount:
		return errors.New(s.Message())
	}
	return &gateway.Error{Code: gateway.Code(s.Code()), By: "gateway", Msg: s.Message()} //nolint:gosec // It was compared.
}
