package main

// Makes gen/ from the contract: `go generate`, before `go build`. buf comes with the checkout's npm packages; the plugins are
// tools of this module, at the versions that go.mod pins.
//go:generate ../../../node_modules/.bin/buf generate ../../../proto --template buf.gen.yaml --path ../../../proto/tercet/v1
