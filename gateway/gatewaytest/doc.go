// Package gatewaytest helps to test what is built for the gateway. For authors
// of upstreams it has a conformance suite, [TestUpstream], and the source that
// the suite expects behind the upstream, [NewFixture].
//
// It is for tests only.
package gatewaytest
