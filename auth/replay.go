package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

const (
	maxReplays    = 1 << 19 // proofs remembered in a window
	maxReplaysKey = 1 << 17 // of one key
	nonceLife     = 5 * 60  // seconds that a nonce is given out, and as long again accepted
	nonceBytes    = 16      // of a nonce
)

// replays remembers the proofs of the last window, each of which may be used
// once. The zero value is ready for use.
type replays struct {
	mu         sync.Mutex
	young, old seen
	turned     time.Time // when young began
}

// seen is what was used in one stretch of time.
type seen struct {
	ids map[[nonceBytes]byte]struct{} // of key and jti, a part of their hash
	of  map[string]int                // how many, by key
}

// add records the use of a proof, or refuses one that was used before. What
// cannot be remembered is refused too: forgetting would let proofs in again.
func (r *replays) add(key, id string, now time.Time) error {
	sum := sha256.Sum256([]byte(key + " " + id))
	short := [nonceBytes]byte(sum[:nonceBytes])
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now.Sub(r.turned); age >= proofWindow || r.young.ids == nil {
		r.old, r.young = r.young, seen{map[[nonceBytes]byte]struct{}{}, map[string]int{}}
		if age >= 2*proofWindow {
			r.old = seen{}
		}
		r.turned = now
	}
	_, young := r.young.ids[short]
	_, old := r.old.ids[short]
	if young || old {
		return badProof("it was used before")
	}
	if len(r.young.ids) >= maxReplays || r.young.of[key] >= maxReplaysKey {
		e := refuse(gateway.ResourceExhausted, "too many requests with DPoP proofs", errors.New("no room to remember more of them"))
		e.Retry = proofWindow
		return e
	}
	r.young.ids[short] = struct{}{}
	r.young.of[key]++
	return nil
}

// nonces are the values that the door wants to see in proofs (RFC 9449, section
// 9), so that none can be made long before it is used. They follow from the
// time and a key that all nodes share, so none is stored.
type nonces struct{ key [32]byte }

// at returns the nonce of a stretch of time.
func (n *nonces) at(slot int64) string {
	mac := hmac.New(sha256.New, n.key[:])
	mac.Write(binary.BigEndian.AppendUint64([]byte("dpop-nonce"), uint64(slot))) //nolint:gosec // Bits are bits.
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:nonceBytes])
}

// check refuses a proof without a nonce of this stretch of time or the last. It
// returns the nonce of this one wherever the client does not have it.
func (n *nonces) check(given string, now time.Time) (fresh string, err error) {
	slot := now.Unix() / nonceLife
	fresh = n.at(slot)
	switch {
	case subtle.ConstantTimeCompare([]byte(given), []byte(fresh)) == 1:
		return "", nil
	case subtle.ConstantTimeCompare([]byte(given), []byte(n.at(slot-1))) == 1:
		return fresh, nil
	}
	cause := errors.New("DPoP proof: it has no nonce of ours, or an old one")
	return fresh, refuse(gateway.Unauthenticated, "invalid DPoP proof", &proofError{useNonce, cause})
}
