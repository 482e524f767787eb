package gateway

import "context"

// Do answers a call with the function that was added for its target.
func (f *Funcs) Do(ctx context.Context, call *Call) (*Result, error) {
	if call.Op == OpSubscribe {
		return f.follow(ctx, call)
	}
	key := funcKey{call.Target.Kind, call.Target.Origin}
	if call.Op == OpComplete {
		if suggest := f.find(&f.complete, key); suggest != nil {
			return suggest(ctx, call)
		}
		return &Result{Raw: []byte(`{"completion":{"values":[]}}`)}, nil
	}
	if run := f.find(&f.run, key); run != nil {
		return run(ctx, call)
	}
	// The call was resolved in a snapshot that the removal had not reached.
	return nil, NotFoundError(call, "upstream/"+call.Target.Source, nil)
}

func (f *Funcs) find(m *map[funcKey]Func, key funcKey) Func {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return (*m)[key]
}

// Updated tells those who follow the resource that it has changed. It never
// blocks: changes that a follower has not seen yet become one.
func (f *Funcs) Updated(uri string) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for ch, follows := range f.follows {
		if follows == uri {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}
}

// follow runs a subscription until the context ends.
func (f *Funcs) follow(ctx context.Context, call *Call) (*Result, error) {
	ch := make(chan struct{}, 1)
	f.mu.Lock()
	if f.follows == nil {
		f.follows = map[chan struct{}]string{}
	}
	f.follows[ch] = call.Name
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.follows, ch)
		f.mu.Unlock()
	}()
	call.Subscription.Ready()
	for {
		select {
		case <-ch:
			call.Subscription.Updated(call.Name)
		case <-ctx.Done():
			return &Result{Raw: []byte(`{}`)}, nil
		}
	}
}
