// Package egress is how the gateway speaks HTTP to an upstream: to one origin,
// with credentials that go there and nowhere else.
//
//	call ─ Admit ─ whose credential ─ Do ─ one origin, guarded when dialled ─ challenge ─ once more
//
// A [Client] follows no redirect, keeps no cookie, asks no proxy, and dials
// public addresses alone but for those that are allowed. Its credentials are
// header fields that stay the same, what an [Authorizer] gives, or OAuth tokens
// (see [OAuthOptions]): the gateway's own, or those of each caller, exchanged or
// consented to.
//
// What it is not: it knows nothing of what is asked or answered, retries nothing
// but what a server wants with another credential, and balances nothing.
package egress
