// Package pin holds what sources offer to what was approved. The definition of a
// tool, resource, template or prompt is pinned by a hash of all that callers and
// models read of it; one that is new, or not what it was, is in quarantine until
// an administrator approves it: not registered, and so in no list and not
// callable through any door. A source that wins trust with one description and
// then puts another in its place loses the tool instead.
//
//	upstream ─ Watch ─▶ Store.Guard ─▶ Registry.Follow
//	                        │
//	        approvals: a bucket of gateway/state, mirrored in memory
//
// Approvals are shared by all nodes and survive restarts; while the engine of
// state is away, those last known hold. What waits in quarantine is not shared:
// each node knows it from the source, so that no source can write into the
// state.
//
// What it is not: a judgement of behaviour. A source can do something else than
// its definitions say, and always the same.
package pin
