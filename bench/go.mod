module github.com/trilith-gateway/trilith/bench

go 1.26.0

require github.com/trilith-gateway/trilith v0.0.0

replace github.com/trilith-gateway/trilith => ../
