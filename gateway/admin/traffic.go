package admin

import (
	"cmp"
	"context"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/telemetry"
)

func (s *service) trafficMethods() []method {
	return []method{
		inspect("TrafficService", "GetTraffic", s.getTraffic),
		{"TrafficService", "WatchTraffic", true, s.watchTraffic},
	}
}

func (s *service) getTraffic(_ context.Context, _ *gateway.Call, req *adminv1.GetTrafficRequest) (*adminv1.GetTrafficResponse, error) {
	seconds, err := window(req.GetSeconds(), 60)
	if err != nil {
		return nil, err
	}
	return &adminv1.GetTrafficResponse{Traffic: trafficOf(s.Traffic.Report(seconds))}, nil
}

// watchTraffic reports each second as a log line of the call, until the caller
// leaves.
func (s *service) watchTraffic(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	req, err := decode[*adminv1.WatchTrafficRequest](call)
	if err != nil {
		return nil, err
	}
	seconds, err := window(req.GetSeconds(), 1)
	if err != nil {
		return nil, err
	}
	if call.Log == nil {
		return nil, &gateway.Error{Code: gateway.Unimplemented, By: by, Msg: "this door cannot follow traffic"}
	}
	for {
		next := s.Traffic.Ticked()
		line, err := protojson.Marshal(&adminv1.WatchTrafficResponse{Traffic: trafficOf(s.Traffic.Report(seconds))})
		if err != nil {
			return nil, err
		}
		call.Log(gateway.LogMessage{Level: "info", Logger: "traffic", Data: line})
		select {
		case <-next:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// window returns how many seconds to look back.
func window(asked int32, otherwise int) (int, error) {
	if asked < 0 || asked > telemetry.MaxSeconds {
		return 0, invalid("seconds must be 1 to %d", telemetry.MaxSeconds)
	}
	return cmp.Or(int(asked), otherwise), nil
}

func trafficOf(r telemetry.Report) *adminv1.Traffic {
	return &adminv1.Traffic{
		Time: timestamppb.New(r.Time), Seconds: int32(r.Seconds), //nolint:gosec // It is bounded.
		Total: shareOf(&r.Total), Doors: sharesOf(r.Doors), Sources: sharesOf(r.Sources),
		Exceeded: excessesOf(r.Exceeded),
	}
}

func excessesOf(all []telemetry.Excess) []*adminv1.LimitExcess {
	out := make([]*adminv1.LimitExcess, 0, len(all))
	for _, e := range all {
		out = append(out, &adminv1.LimitExcess{Limit: e.Limit, Count: total(e.Count)})
	}
	return out
}

func sharesOf(all []telemetry.Share) []*adminv1.TrafficShare {
	out := make([]*adminv1.TrafficShare, 0, len(all))
	for i := range all {
		out = append(out, shareOf(&all[i]))
	}
	return out
}

func shareOf(s *telemetry.Share) *adminv1.TrafficShare {
	return &adminv1.TrafficShare{
		Name: s.Name, Calls: total(s.Calls), ToolErrors: total(s.ToolErrors), Refused: total(s.Refused),
		Failed: total(s.Failed), Canceled: total(s.Canceled), P50Ms: milliseconds(s.P50), P99Ms: milliseconds(s.P99),
	}
}

func total(n uint64) int64 { return int64(min(n, 1<<62)) } //nolint:gosec // It is bounded.

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
