//go:build corpus

package openapi

// everyNth document of the corpus is read.
const everyNth = 1
