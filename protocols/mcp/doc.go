// Package mcp speaks the Model Context Protocol.
//
// A [Frontend] is the door for MCP clients: streamable HTTP and stdio, with the
// stateless revision 2026-07-28 ("modern") and the session-based revisions
// before it ("legacy") on one endpoint. What clients send becomes a
// [gateway.Call], and what upstreams answer goes out byte for byte; the package
// never decodes a payload that it only forwards.
//
// It does not authenticate: every request carries its principal, put there by
// the door before it ([auth.From]), and a session never stands for one. It does
// not decide either: lists come from [gateway.Gateway.View] and everything else
// goes through [gateway.Gateway.Do].
//
// Comments name the section of the specification that they follow, in revision
// 2026-07-28 unless another is given.
package mcp
