//go:build external && !corpus

package openapi

// everyNth document of the corpus is read.
const everyNth = 44
