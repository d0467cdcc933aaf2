package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// backportsFile is written beside the machine's own sources. Nothing is upgraded because of it: apt takes from backports only what it
// is told to, and updates what it took from there.
const backportsFile = "/etc/apt/sources.list.d/clickledger-backports.sources"

// aptInstallValkey installs Debian's package, from the release itself where that is new enough, else from its backports. Whatever
// fails, apt is left as it was.
func aptInstallValkey(ctx context.Context) error {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return fmt.Errorf("read release: %w", err)
	}
	codename := osReleaseField(string(release), "VERSION_CODENAME")
	if codename != "bookworm" {
		return aptInstall(ctx, "valkey-server")
	}
	source, err := backportsSource(codename)
	if err != nil {
		return err
	}
	if err := os.WriteFile(backportsFile, []byte(source), 0o644); err != nil { //nolint:gosec // apt reads it as another user
		return fmt.Errorf("write sources: %w", err)
	}
	// Only this file is updated: other sources of the machine may be out of reach and are none of our business.
	_, err = apt(ctx, "update", "-o", "Dir::Etc::sourcelist="+backportsFile, "-o", "Dir::Etc::sourceparts=-", "-o", "APT::Get::List-Cleanup=0")
	if err == nil {
		err = aptInstall(ctx, "-t", codename+"-backports", "valkey-server")
	}
	if err != nil {
		return errors.Join(err, os.Remove(backportsFile))
	}
	return nil
}

// aptInstall tries with the package lists that are there, then with fresh ones.
func aptInstall(ctx context.Context, arguments ...string) error {
	arguments = append([]string{"install", "-y", "-q", "--no-install-recommends"}, arguments...)
	if _, err := apt(ctx, arguments...); err == nil || ctx.Err() != nil {
		return err
	}
	if _, err := apt(ctx, "update"); err != nil {
		return err
	}
	_, err := apt(ctx, arguments...)
	return err
}

func apt(ctx context.Context, arguments ...string) (string, error) {
	command := append([]string{"apt-get", "-o", "DPkg::Lock::Timeout=120"}, arguments...)
	return runTool(ctx, "/", []string{"DEBIAN_FRONTEND=noninteractive"}, command...)
}

// backportsSource copies the stanza of the machine's own sources that names the release, for the release's backports.
func backportsSource(codename string) (string, error) {
	paths, err := filepath.Glob("/etc/apt/sources.list.d/*.sources")
	if err != nil {
		return "", fmt.Errorf("list sources: %w", err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read sources: %w", err)
		}
		for stanza := range strings.SplitSeq(string(content), "\n\n") {
			if source, ok := backportsStanza(stanza, codename); ok {
				return source, nil
			}
		}
	}
	list, err := os.ReadFile("/etc/apt/sources.list")
	if err == nil {
		if source, ok := backportsOfList(string(list), codename); ok {
			return source, nil
		}
	}
	return "", errors.New("the machine's apt sources do not name " + codename)
}

// backportsStanza turns a stanza of a .sources file that names the suite into one for its backports, mirror and keys unchanged.
func backportsStanza(stanza, codename string) (string, bool) {
	var fields []string
	found := false
	for line := range strings.Lines(stanza) {
		line = strings.TrimRight(line, "\n")
		name, value, _ := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(line, "#"), strings.TrimSpace(line) == "":
			continue
		case strings.EqualFold(name, "Suites"):
			for suite := range strings.FieldsSeq(value) {
				found = found || suite == codename
			}
			line = "Suites: " + codename + "-backports"
		case strings.EqualFold(name, "Types"):
			line = "Types: deb"
		}
		fields = append(fields, line)
	}
	return strings.Join(fields, "\n") + "\n", found
}

// backportsOfList does the same for a line of the older one-line form: deb [options] mirror suite components.
func backportsOfList(list, codename string) (string, bool) {
	for scanner := bufio.NewScanner(strings.NewReader(list)); scanner.Scan(); {
		fields := strings.Fields(scanner.Text())
		for i, field := range fields {
			if fields[0] == "deb" && i >= 2 && field == codename && !strings.Contains(fields[1], "=") {
				return "Types: deb\nURIs: " + fields[1] + "\nSuites: " + codename + "-backports\nComponents: main\n", true
			}
		}
	}
	return "", false
}

// osReleaseField reads one field of /etc/os-release.
func osReleaseField(content, field string) string {
	for line := range strings.Lines(content) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && name == field {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}
