package transcode

// InOrder reports whether the wire bytes are read in one pass: no part of a field replaces another one.
func (p *Plan) InOrder(wire []byte) bool {
	r := reader{max: 1 << 30, dialect: p.compiler.options.Dialect}
	return r.message(p, wire, 0) == nil
}

// From and To return the plans of a bridge.
func (b *Bridge) From() *Plan { return b.from }
func (b *Bridge) To() *Plan   { return b.to }
