module textmill/scripts/go

go 1.24

require (
	github.com/Masterminds/sprig/v3 v3.3.1-0.20250718132921-989da45d7c08
	github.com/spf13/cast v1.10.0 // indirect; the one that LocalAI has
)
