package graphql

import (
	"context"

	"google.golang.org/protobuf/encoding/protojson"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

// Traffic returns what happened in the last seconds.
func (a administration) Traffic(ctx context.Context, _ *generated.Administration, seconds *int32) (*adminv1.Traffic, error) {
	res := &adminv1.GetTrafficResponse{}
	err := a.administer(ctx, "traffic.GetTraffic", &adminv1.GetTrafficRequest{Seconds: number(seconds)}, res)
	return res.GetTraffic(), err
}

// Traffic follows what happens: each report is a log line of the running call. It never fails itself: see fail.
func (s subscription) Traffic(ctx context.Context, seconds *int32) (<-chan *adminv1.Traffic, error) {
	q := newQueue[*adminv1.Traffic](1) // Only the latest is of interest.
	s.work.Go(func() {
		defer q.close()
		s.fail(ctx, s.watchTraffic(ctx, q, number(seconds)))
	})
	return q.events, nil
}

func (s subscription) watchTraffic(ctx context.Context, q *queue[*adminv1.Traffic], seconds int32) error {
	call, err := s.adminCall(ctx, "traffic.WatchTraffic", &adminv1.WatchTrafficRequest{Seconds: seconds})
	if err != nil {
		return err
	}
	call.Log = func(line gateway.LogMessage) {
		res := &adminv1.WatchTrafficResponse{}
		if protojson.Unmarshal(line.Data, res) == nil { // It comes from this process.
			q.put(func(int32) *adminv1.Traffic { return res.GetTraffic() })
		}
	}
	_, err = s.do(ctx, s.o.Admin, call)
	return err
}

// number is what a nullable argument stands for.
func number(n *int32) int32 {
	if n == nil {
		return 0
	}
	return *n
}
