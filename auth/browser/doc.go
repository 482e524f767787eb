// Package browser is what the gateway's own pages for people share: [Client] has
// them sign in at an issuer, [Seal] keeps what came of that from all who read the
// shared state, and [Page] serves a page with the headers and the cookies that
// keep other pages out.
//
// Package auth/login signs users in to the gateway, and auth/connect lets them
// connect upstreams.
package browser
