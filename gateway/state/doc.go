// Package state is the gateway's memory beyond one process: small typed values under string keys, bounded logs, notices
// between nodes that something changed, and requests from node to node. The one engine is NATS JetStream, and no other
// package imports it.
//
//	                                              OpenBucket[T] ─ Get Put Create Update Delete All History
//	             ┌ in memory: tests, stdio        Bucket[T] ───── Watch ─ Mirror (reads without the engine)
//	Open ─ State ┤ embedded: files below Dir      OpenLog ─ Log ─ Append Read Follow Drop
//	             └ external: a NATS cluster, URL  OpenTurns ─ Turns ─ Do, one at a time over all nodes
//	                                              Publish, Subscribe ─ coalesced notices
//	                                              Instance, Serve, Request ─ from node to node
//
// The code path is the same for all three; nothing but Options tells them apart. The embedded server opens no network
// port. An external server must be NATS 2.9 or newer with JetStream enabled, for replicas 2.11 or newer.
//
// Durability. An acknowledged write survives the end of the process in every mode but in memory. The embedded server
// also syncs each write to disk before it acknowledges, unless Async in the options of a bucket or log says that it may
// lose up to ten seconds of writes to a power cut. On an external cluster both are decided by the configuration of its
// servers: set sync_interval to always, or keep three replicas in different zones of failure, or both.
//
// Reads on the road of a call must not touch the engine: keep a Mirror, or build a snapshot of your own from Watch.
//
// What it is not: a queue or a place for large values. Its logs drop their oldest entries to stay within their bounds,
// and say so to a reader whom it concerns; the audit log keeps its own files. It is never the only copy of anything that
// matters either; whoever owns such data exports it.
package state
