package config

import (
	"net/netip"
	"time"
)

// Source is a service whose tools, resources and prompts the gateway offers.
// Exactly one kind is set.
type Source struct {
	// Name of the source, in front of the names of its tools.
	Name string `yaml:"name" format:"name" required:"true"`

	// Put `<name>.` in front of the names of this source's tools and prompts.
	// Without it a name that two sources share is an error when they load.
	Prefix bool `yaml:"prefix" default:"true"`

	// Tags of everything that this source offers, by which toolsets select.
	Tags []string `yaml:"tags" format:"name" max:"16"`

	// An MCP server.
	MCP *MCP `yaml:"mcp" oneof:"kind"`

	// The built-in demonstration tools.
	Demo bool `yaml:"demo" oneof:"kind"`
}

// MCP says how an MCP server is reached: by URL, or as a program that the
// gateway starts and speaks to through its standard input and output.
type MCP struct {
	// URL of a server that speaks streamable HTTP.
	URL string `yaml:"url" format:"url" oneof:"transport"`

	// Program to start. A name without a slash is looked up in PATH; any other
	// relative path starts at the directory of this file.
	Command string `yaml:"command" format:"command" oneof:"transport"`

	// Arguments of the program.
	Args []string `yaml:"args" with:"command" max:"256"`

	// Environment variables set for the program.
	Env map[string]Secret `yaml:"env" with:"command" keys:"variable" max:"256"`

	// Working directory of the program. By default the directory of this file.
	Dir string `yaml:"dir" format:"dir" with:"command"`

	// Headers sent with every request to the server.
	Headers map[string]Secret `yaml:"headers" with:"url" keys:"header" max:"64"`

	// Networks off the public internet to which `url` may lead, in CIDR form. By
	// default loopback, private and link-local addresses are refused.
	AllowPrivate []netip.Prefix `yaml:"allow_private" format:"cidr" with:"url" max:"64"`

	// Longest time that the server may take to answer one request.
	Timeout time.Duration `yaml:"timeout" default:"30s" min:"100ms" max:"24h"`

	// Generation of MCP to speak: `modern` is revision 2026-07-28 and later,
	// `legacy` everything before, `auto` asks the server.
	Era string `yaml:"era" default:"auto" enum:"auto modern legacy"`
}
