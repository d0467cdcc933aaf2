# What can be done here. Without just: npx --yes rust-just RECIPE

local := "go run ./deploy/local"
tool := "go tool -modfile=tools.mod"
buf := "npx --yes @bufbuild/buf@1.75.0"
# Drills of a cluster need one, the others stop a server there is one of.
drills := if env("STACK", "local") == "cluster" { "-run '^TestCluster'" } else { "-skip '^TestCluster'" }

# List the recipes.
default:
    @just --justfile {{ quote(justfile()) }} --list --unsorted

# Start the servers (installs what is missing) and wait until all are ready.
up:
    @{{ local }} up

# Start the servers and the programs of the code as it is. For once with another setting: just run --set CLICKLEDGER_LOG_LEVEL=debug
run *args:
    @{{ local }} run {{ args }}

# The same as a cluster, on one machine: 3 Kafka, 2 ClickHouse shards, 3 Valkey primaries, 2 of each program. STACK=cluster has every other recipe use it.
cluster:
    @STACK=cluster {{ local }} run

# Stop everything, of whichever stack; the data stays.
down:
    @{{ local }} down

# What runs, since when, where.
status *args:
    @{{ local }} status {{ args }}

# Show a log: just logs gateway [-f]
logs +args:
    @{{ local }} logs {{ args }}

# Stop servers or programs by name.
stop +names:
    @{{ local }} stop {{ names }}

# Start servers or programs by name.
start +names:
    @{{ local }} start {{ names }}

# Restart servers or programs by name.
restart +names:
    @{{ local }} restart {{ names }}

# Click ads and watch the figures live. DEMO_SECONDS=60 ends it by itself.
demo: run
    @go run ./tests/demo

# Measure: RATE=10000 DURATION=60s just load
load: run
    @go run ./tests/load

# Measure what a click costs at several rates: RATES=1000,5000,10000,15000 DURATION=30s just bench-curve
bench-curve: run
    @RATES="${RATES:-1000,5000,10000,15000}" go run ./tests/load

# The same on one of each and on the cluster, in turn, compared; some 20 minutes. Whatever stack runs is stopped; data stays.
bench-stacks:
    @go run ./tests/bench/stacks

# What a rate needs of each part, by the latest reports: just capacity 100k
capacity *args:
    @go run ./tests/capacity {{ args }}

# Measure the seen index: memory, check, mark, rebuild. CLICKS=10000000 just bench-seen
bench-seen: up
    @go run ./tests/bench/seen

# Measure the lake: reconcile an hour of 36 million clicks, backfill it, archive; some 10 minutes, most of it to make the lake.
bench-lake: up
    @go run ./tests/bench/lake

# Measure the catalogue: an import of 10 million ads, both caches, how soon a change takes effect; some 10 minutes.
bench-catalogue: up
    @go run ./tests/bench/catalogue

# Measure reports: ten million ads, 300 million figures per minute; some 20 minutes, half of them to fill. The programs of `just run` make room for it and are stopped at its end. KEEP=name keeps it for the next time.
bench-reports: up
    @go run ./tests/bench/reports

# Every test, on the real servers.
test: up chart
    go test -count=1 -timeout 15m ./...

# Feed what reads foreign bytes with made-up ones, each target FUZZ_SECONDS long (20).
fuzz:
    #!/usr/bin/env bash
    set -euo pipefail
    grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z]+' gateway internal | while IFS=: read -r file name; do
        echo "$(dirname "$file") ${name#func }"
        go test -run '^$' -fuzz "^${name#func }\$" -fuzztime "${FUZZ_SECONDS:-20}s" "./$(dirname "$file")" </dev/null
    done

# The longer tests: servers are stopped and started under load.
drills: up
    go test -count=1 -timeout 45m -tags drill {{ drills }} ./tests/drills/...

# Everything fails in turn under load; what was counted is compared: CHAOS_MINUTES=25 CHAOS_SEED=7 just chaos
chaos: up
    @go run ./tests/chaos

# What must hold before a commit is pushed: vet, lint, races, workflow rules, generated code.
check: up vet lint workflowcheck gen-check chart
    go test -race -timeout 15m $(go list ./... | grep -v '/tests/')

[private]
vet:
    go vet ./...
    go vet -tags drill ./tests/...

# The chart for Kubernetes: linted, rendered, decoded, every reference resolved. A module of its own: Helm is large.
[private]
chart:
    cd deploy/helm && go vet ./... && go test -count=1 ./...

# Lint with the rules of .golangci.yml.
lint:
    {{ tool }} golangci-lint run ./...
    lint=$({{ tool }} -n golangci-lint) && cd deploy/helm && "$lint" run --config ../../.golangci.yml ./...

# Workflow code must be deterministic.
workflowcheck:
    {{ tool }} workflowcheck ./workflows/...

# Regenerate proto/gen.
gen:
    cd proto && {{ buf }} generate

[private]
gen-check:
    #!/usr/bin/env bash
    set -euo pipefail
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    (cd proto && {{ buf }} lint && {{ buf }} generate -o "$fresh")
    diff -r "$fresh/gen" proto/gen || { echo 'proto/gen is not what the .proto files say: run `just gen`' >&2; exit 1; }

# Format the code.
fmt:
    {{ tool }} golangci-lint fmt ./...
    cd proto && {{ buf }} format -w --exclude-path buf
