// Package upstream offers the methods of gRPC servers as tools.
//
//	reflection, or a descriptor set ─▶ descriptors ─▶ JSON Schemas, and a plan for each message
//	call ─ JSON to wire ─ one request ─ wire to JSON ─ result, or progress for each message of a stream
//
// A method with one request is a tool; one whose responses are a stream shows them as they come, and its result holds
// them. Methods whose requests are a stream have no form as a tool and are noted as skipped. What is sent and what
// comes back is never made into messages: package transcode takes it from JSON to the wire and back.
//
// The server is told nothing of a caller but the trace that a call is part of, and sees the credentials that package
// egress has for it. What it says about itself is bounded and may be wrong: what cannot be understood is left out, and
// noted.
//
// What it is not: it neither retries a call nor balances over several servers; decorators in front of it do.
package upstream
