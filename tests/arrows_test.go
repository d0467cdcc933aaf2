// Package tests holds what looks at the whole: that the code keeps its shape, and below, that the built programs keep their promises.
package tests

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "clickledger/"

// clients are the client libraries, each with the one package that may use it. The local stack asks servers whether they are ready,
// black-box tests look behind the programs, and internal/stacktest starts and hurts servers for tests: they may too.
var clients = map[string]string{
	"github.com/twmb/franz-go":        "internal/kafka",
	"github.com/ClickHouse/":          "internal/clickhouse",
	"github.com/pressly/goose":        "internal/clickhouse",
	"github.com/valkey-io/valkey-go":  "internal/valkey",
	"github.com/minio/minio-go":       "internal/s3",
	"github.com/parquet-go":           "internal/parquet",
	"github.com/vbauerster/mpb":       "deploy/local",
	"github.com/ebitengine/purego":    "deploy/local",
	"github.com/compose-spec/compose": "deploy",
}

// storePackages know one technology each and none of each other.
var storePackages = []string{"internal/kafka", "internal/clickhouse", "internal/valkey", "internal/s3", "internal/parquet"}

// listed is a package as `go list` tells it. Imports are those of its code, without its tests.
type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// path is the package's folder inside the module.
func (p listed) path() string { return strings.TrimPrefix(p.ImportPath, module) }

// ours are the folders of our own packages among some import paths.
func ours(imports []string) []string {
	var folders []string
	for _, path := range imports {
		if folder, ok := strings.CutPrefix(path, module); ok {
			folders = append(folders, folder)
		}
	}
	return folders
}

func packages(t *testing.T) []listed {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", "./...")
	command.Dir = ".."
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		all = append(all, p)
	}
}

func within(folder string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return folder == f || strings.HasPrefix(folder, f+"/") })
}

func TestTheDomainKnowsOnlyTheStandardLibrary(t *testing.T) {
	for _, p := range packages(t) {
		if p.path() != "internal/click" {
			continue
		}
		for _, path := range p.Imports {
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") || strings.HasPrefix(path, module) {
				t.Errorf("%s imports %s", p.path(), path)
			}
		}
	}
}

func TestEachClientLibraryHasOnePackage(t *testing.T) {
	for _, p := range packages(t) {
		for _, path := range p.Imports {
			for client, owner := range clients {
				if strings.HasPrefix(path, client) && !within(p.path(), owner, "deploy/local", "tests", "internal/stacktest") {
					t.Errorf("%s imports %s, which is for %s", p.path(), path, owner)
				}
			}
		}
	}
}

func TestStoresDoNotKnowEachOther(t *testing.T) {
	for _, p := range packages(t) {
		for _, store := range storePackages {
			if !within(p.path(), store) {
				continue
			}
			for _, dependency := range ours(p.Deps) {
				if within(dependency, storePackages...) && !within(dependency, store) {
					t.Errorf("%s depends on %s", p.path(), dependency)
				}
			}
		}
	}
}

func TestWorkflowsAndActivitiesKnowOnlyWhatTheyDecideAbout(t *testing.T) {
	allowed := map[string][]string{
		"activities": {"internal/click"},
		"workflows":  {"internal/click", "activities"},
	}
	for _, p := range packages(t) {
		known, ok := allowed[p.path()]
		if !ok {
			continue
		}
		for _, dependency := range ours(p.Deps) {
			if !within(dependency, known...) {
				t.Errorf("%s depends on %s", p.path(), dependency)
			}
		}
		for _, dependency := range p.Deps {
			for client := range clients {
				if strings.HasPrefix(dependency, client) {
					t.Errorf("%s depends on %s", p.path(), dependency)
				}
			}
		}
	}
}

func TestNobodyImportsWhatWires(t *testing.T) {
	for _, p := range packages(t) {
		for _, path := range ours(p.Imports) {
			if within(path, "workers") || path == "gateway" {
				t.Errorf("%s imports %s", p.path(), path)
			}
			if within(path, "gateway/server") && !within(p.path(), "gateway", "tests") {
				t.Errorf("%s imports %s", p.path(), path)
			}
			if within(path, "tests") && !within(p.path(), "tests") {
				t.Errorf("%s imports %s", p.path(), path)
			}
			if within(path, "internal/stacktest") && !within(p.path(), "tests", "internal/stacktest") {
				t.Errorf("%s imports %s outside its tests", p.path(), path)
			}
		}
	}
}

func TestTheTopLevelIsTheAgreedOne(t *testing.T) {
	folders := []string{"workflows", "activities", "workers", "gateway", "proto", "deploy", "tests", "internal", "docs"}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() && !strings.HasPrefix(name, ".") && !slices.Contains(folders, name) {
			t.Errorf("there is a folder %s; the layout knows %v", name, folders)
		}
		if !entry.IsDir() && strings.HasSuffix(name, ".go") {
			t.Errorf("%s belongs into a folder", name)
		}
	}
}
