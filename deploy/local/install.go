package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Folders of the tools under .local/tools.
const (
	kafkaFolder      = "kafka-" + kafkaVersion
	clickhouseFolder = "clickhouse-" + clickhouseVersion
	valkeyFolder     = "valkey-8"
	minioFolder      = "minio-" + minioVersion
	temporalFolder   = "temporal-" + temporalVersion
)

// install is one thing that is fetched or compiled on first use.
type install struct {
	name   string
	what   string // what happens, for a person
	folder string // under .local/tools
	proof  string // a file of the folder that is there when the install is whole
	sizeMB int64  // what it takes on the disk while it is installed, roughly
	// tools must be on the PATH.
	tools []string
	// fill puts everything into a new folder, which takes the target's place if nothing failed.
	fill func(ctx context.Context, into string) error
}

// installs is the table. The ones that compile come first: they take minutes, the others seconds.
func installs() []install {
	return []install{
		{
			name: "temporal", what: "compile Temporal " + temporalVersion, folder: temporalFolder, proof: "temporal", sizeMB: 1200,
			tools: []string{"go"}, fill: goInstall("github.com/temporalio/cli/cmd/temporal@" + temporalVersion),
		},
		{
			name: "minio", what: "compile MinIO", folder: minioFolder, proof: "minio", sizeMB: 900,
			tools: []string{"go"}, fill: goInstall("github.com/minio/minio@" + minioVersion),
		},
		{
			name: "clickhouse", what: "fetch ClickHouse " + clickhouseVersion, folder: clickhouseFolder, proof: "libchdb.so", sizeMB: 950,
			tools: []string{"npm"}, fill: fetchClickHouse,
		},
		{
			name: "kafka", what: "fetch Apache Kafka " + kafkaVersion, folder: kafkaFolder, proof: "libs/kafka_2.13-" + kafkaVersion + ".jar",
			sizeMB: 60, tools: []string{"java", "mvn"}, fill: fetchKafka,
		},
		{name: "valkey", what: "find or fetch Valkey 8", folder: valkeyFolder, proof: "valkey-server", sizeMB: 30, fill: fetchValkey},
	}
}

// missingInstalls are those that some of the services need and that are not whole.
func missingInstalls(at folder, wanted []service) []install {
	needed := map[string]bool{}
	for _, s := range wanted {
		for _, name := range s.installs {
			needed[name] = true
		}
	}
	var missing []install
	for _, i := range installs() {
		if _, err := os.Stat(at.tool(i.folder, i.proof)); needed[i.name] && err != nil {
			missing = append(missing, i)
		}
	}
	return missing
}

// installMissing installs in parallel and returns the first failure, after which nothing half-installed is left.
func installMissing(ctx context.Context, at folder, wanted []service) error {
	if len(missingInstalls(at, wanted)) == 0 {
		return nil
	}
	unlock, err := lockFile(at.shared("install.lock"), true)
	if err != nil {
		return fmt.Errorf("wait for another install: %w", err)
	}
	defer unlock()
	removeHalfInstalled(at)
	missing := missingInstalls(at, wanted) // again: the other one may have done it
	if err := checkBeforeInstall(ctx, at, missing); err != nil {
		return err
	}
	progress := newProgress(os.Stdout)
	defer progress.close()
	group, ctx := errgroup.WithContext(ctx)
	for _, i := range missing {
		group.Go(func() error { return installOne(ctx, at, i, progress) })
	}
	return group.Wait()
}

// installOne fills a folder beside the target and renames it: the target is whole or not there.
func installOne(ctx context.Context, at folder, i install, progress progress) error {
	into, err := os.MkdirTemp(at.tool(), halfInstalledPrefix+i.name+"-")
	if err != nil {
		return fmt.Errorf("install %s: %w", i.name, plainDiskError(err, at))
	}
	defer removeAll(into)
	begun := time.Now()
	task := progress.begin(i, into)
	if err := i.fill(ctx, into); err != nil {
		if ctx.Err() != nil {
			task.end(givenUp, 0, time.Since(begun)) // because of another one, which says why
			return ctx.Err()
		}
		task.end(failed, 0, time.Since(begun))
		return fmt.Errorf("install %s: %w", i.name, plainDiskError(err, at))
	}
	if _, err := os.Stat(filepath.Join(into, i.proof)); err != nil {
		task.end(failed, 0, time.Since(begun))
		return fmt.Errorf("install %s: it ended without %s; run this again", i.name, i.proof)
	}
	size := sizeOf(into)
	if err := os.RemoveAll(at.tool(i.folder)); err != nil {
		return fmt.Errorf("install %s: %w", i.name, err)
	}
	if err := os.Rename(into, at.tool(i.folder)); err != nil {
		return fmt.Errorf("install %s: %w", i.name, err)
	}
	task.end(done, size, time.Since(begun))
	return nil
}

const halfInstalledPrefix = ".half-"

// removeHalfInstalled clears what a killed install left. The caller holds the install lock.
func removeHalfInstalled(at folder) {
	left, _ := filepath.Glob(at.tool(halfInstalledPrefix + "*"))
	for _, path := range left {
		removeAll(path)
	}
}

// removeAll removes a folder even where Go's module cache made parts of it read-only.
func removeAll(path string) {
	_ = filepath.WalkDir(path, func(inner string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			_ = os.Chmod(inner, 0o700) //nolint:gosec // a folder needs its x bit
		}
		return nil
	})
	_ = os.RemoveAll(path)
}

// sizeOf is the number of bytes of the files in a folder.
func sizeOf(path string) int64 {
	var total int64
	_ = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // files come and go while it is filled
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}

// checkBeforeInstall refuses what would fail in the middle: a tool that is not there, a disk that is too full.
func checkBeforeInstall(ctx context.Context, at folder, missing []install) error {
	var tools []string
	var sizeMB int64
	for _, i := range missing {
		tools = append(tools, i.tools...)
		sizeMB += i.sizeMB
	}
	if err := checkTools(ctx, tools); err != nil {
		return err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(at.root, &disk); err != nil {
		return fmt.Errorf("look at the disk: %w", err)
	}
	return checkSpace(at, sizeMB, int64(disk.Bavail)*int64(disk.Bsize)>>20) //nolint:unconvert // types differ by system
}

// checkSpace compares what is needed with what is free, both in MB.
func checkSpace(at folder, neededMB, freeMB int64) error {
	if freeMB >= neededMB {
		return nil
	}
	return fmt.Errorf("the disk of %s has %d MB free, and installing takes about %d MB: free some space, then run this again",
		at.root, freeMB, neededMB)
}

// plainDiskError says in words that the disk is full, if that is what an error or a tool's output means.
func plainDiskError(err error, at folder) error {
	if err == nil {
		return nil
	}
	full := errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
	text := strings.ToLower(err.Error())
	if full || strings.Contains(text, "no space left on device") || strings.Contains(text, "enospc") {
		return fmt.Errorf("the disk is full: free some space where %s, Go's cache and the temporary folder are, then run this again", at.root)
	}
	return err
}
