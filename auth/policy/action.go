package policy

import (
	"slices"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
)

// actions are a set of actions: one bit for each [gateway.Op], and those that
// are no calls.
type actions uint8

const (
	actList  actions = 1 << 0               // see in lists
	actAdmin actions = 1 << gateway.OpAdmin // change what an area of administration holds

	everyAction = actList | 1<<gateway.OpCall | 1<<gateway.OpRead | 1<<gateway.OpGet | 1<<gateway.OpComplete | 1<<gateway.OpSubscribe | actAdmin
)

// action returns the action that an operation takes. To inspect is to read.
func action(op gateway.Op) actions {
	if op == gateway.OpInspect {
		op = gateway.OpRead
	}
	return 1 << op
}

// parseAction returns the actions that a rule's word means, none where it is
// not known.
func parseAction(word string) actions {
	switch word {
	case "*":
		return everyAction
	case "list":
		return actList
	case "admin":
		return actAdmin
	}
	for op := gateway.OpCall; op <= gateway.OpSubscribe; op++ {
		if op.String() == word {
			return action(op)
		}
	}
	return 0
}

// mainOp is the action that makes an object visible to whoever may take it, 0
// where there is none.
func mainOp(object string) gateway.Op {
	switch kind, _, _ := strings.Cut(object, "/"); kind {
	case "tool":
		return gateway.OpCall
	case "resource":
		return gateway.OpRead
	case "prompt":
		return gateway.OpGet
	}
	return 0
}

// mainOf is mainOp for a kind of capability.
func mainOf(k gateway.Kind) gateway.Op {
	switch k {
	case gateway.KindTool:
		return gateway.OpCall
	case gateway.KindResource, gateway.KindTemplate:
		return gateway.OpRead
	case gateway.KindPrompt:
		return gateway.OpGet
	}
	return 0
}

// implied adds what rules about the main action of an object say about lists: a
// rule that allows it shows the object, a rule that denies it hides it.
func (a actions) implied(main gateway.Op) actions {
	if main != 0 && a&action(main) != 0 {
		a |= actList
	}
	return a
}

// actionsOf says which words apply to each kind of object, nil for kinds that
// are not known.
func actionsOf(kind string) []string {
	switch kind {
	case "tool":
		return []string{"call", "list"}
	case "resource":
		return []string{"read", "subscribe", "complete", "list"}
	case "prompt":
		return []string{"get", "complete", "list"}
	case adminKind:
		return []string{"read", "admin"}
	}
	return nil
}

const adminKind = "admin"

// The areas of administration, as in the object admin/<area>.
const (
	AreaPolicy   = "policy"   // versions of the policy, and who is bound to which role
	AreaKeys     = "keys"     // API keys
	AreaSessions = "sessions" // sessions of callers
	AreaSources  = "sources"  // sources, and the definitions that are pinned
	AreaAudit    = "audit"    // the audit log
	AreaLimits   = "limits"   // limits of callers
	AreaTraffic  = "traffic"  // how many calls there are, and how they end
)

// Areas returns every area of administration.
func Areas() []string {
	return []string{AreaPolicy, AreaKeys, AreaSessions, AreaSources, AreaAudit, AreaLimits, AreaTraffic}
}

func isArea(name string) bool { return slices.Contains(Areas(), name) }
