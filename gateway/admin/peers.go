package admin

import (
	"bytes"
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
)

// Peers are the other nodes of a cluster, as administration asks them for what
// only they know.
type Peers interface {
	// AskAll puts the same question to every other node. It returns the answers in
	// no order, and the names of the nodes that have not answered in time. Nodes
	// that no longer run are none of them.
	AskAll(ctx context.Context, question []byte) (answers [][]byte, missing []string)
}

// What nodes ask each other: a line with one of these, then the request of the
// method of the same meaning.
const (
	peerList = "list sessions"
	peerEnd  = "end session"

	peerEnded = "ended" // the answer where the session was there
)

// askPeers asks all other nodes. Without any there are no answers.
func (s *service) askPeers(ctx context.Context, what string, req proto.Message) (answers [][]byte, missing []string) {
	if s.Peers == nil {
		return nil, nil
	}
	data, err := proto.Marshal(req)
	if err != nil {
		return nil, nil // A request that came over the wire goes over the wire.
	}
	return s.Peers.AskAll(ctx, append([]byte(what+"\n"), data...))
}

// AnswerPeer answers what the administration of another node asks with
// [Peers.AskAll]. Whoever can ask has been let in as a node of the cluster.
func AnswerPeer(o Options, question []byte) ([]byte, error) {
	s := &service{Options: o}
	what, data, _ := bytes.Cut(question, []byte{'\n'})
	switch string(what) {
	case peerList:
		var req adminv1.ListSessionsRequest
		if err := proto.Unmarshal(data, &req); err != nil {
			return nil, err
		}
		return proto.Marshal(s.sessionsHere(&req))
	case peerEnd:
		var req adminv1.EndSessionRequest
		if err := proto.Unmarshal(data, &req); err != nil {
			return nil, err
		}
		if s.endHere(req.GetId()) {
			return []byte(peerEnded), nil
		}
		return nil, nil
	}
	return nil, fmt.Errorf("unknown question %.40q", what)
}
